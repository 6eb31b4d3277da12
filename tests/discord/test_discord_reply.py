"""What a reply does where another process, or another person, was there before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import discord
import pytest
from botkit_discord.events import EventName
from botkit_discord.line import Line
from botkit_discord.pointing import point
from botkit_discord.reply import DiscordReply
from discord_town import TOKEN, Town

from botkit.clock import SystemClock
from botkit.errors import PlatformError, Undeliverable
from botkit.types import Place


@asynccontextmanager
async def line_to(town: Town) -> AsyncIterator[Line]:
    """Give a line with a client that is logged in, but hears nothing."""
    client = discord.Client(intents=discord.Intents(guilds=True))
    point(client, town.discord.api_base)
    await client.login(TOKEN)
    line = Line(SystemClock())
    await line.connect(client)
    try:
        yield line
    finally:
        await client.close()


async def asked(town: Town) -> EventName:
    return EventName(town.square.id, await town.ask("hello"))


def reply(line: Line, event: EventName, **more: Any) -> DiscordReply:
    return DiscordReply(line, SystemClock(), event, **more)


async def test_the_same_part_sent_by_two_processes_is_one_message(town: Town) -> None:
    event = await asked(town)
    async with line_to(town) as line:
        first = await reply(line, event).send("half an ans", final=False)
        second = await reply(line, event).send("half an answer, and the rest", final=True)

    assert first == second
    assert town.texts() == ["half an answer, and the rest"]


async def test_a_message_whose_nonce_discord_has_forgotten_is_found_in_the_history(town: Town) -> None:
    event = await asked(town)
    async with line_to(town) as line:
        await reply(line, event).send("half an ans", final=False)
        town.answers()[0].nonce = None
        await town.ask("something else")
        await reply(line, event, is_resumed=True).send("an answer", final=True)

    assert town.texts() == ["an answer"]


async def test_parts_that_are_known_are_not_taken_for_the_next(town: Town) -> None:
    event = await asked(town)
    async with line_to(town) as line:
        known = await reply(line, event).send("part one", final=True)
        resumed = reply(line, event, receipts=[known], is_resumed=True)
        await resumed.send("part two", final=True)

    assert town.texts() == ["part one", "part two"]


async def test_a_message_that_was_deleted_twice_goes_on_twice(town: Town) -> None:
    event = await asked(town)
    async with line_to(town) as line:
        ours = reply(line, event)
        receipt = await ours.send("one", final=False)
        for text in ("one two", "one two three"):
            await town.discord.delete(town.square, town.answers()[-1].id)
            await ours.edit(receipt, text, final=True)

    assert town.texts() == ["one two three"]


async def test_the_place_in_line_becomes_the_answer(town: Town) -> None:
    event = await asked(town)
    async with line_to(town) as line:
        ours = reply(line, event)
        await ours.waiting(Place(0, 0.0))
        assert town.texts() == []
        await ours.waiting(Place(2, 6.4))
        assert town.texts() == ["2 before you, about 6 s"]
        await ours.send("the answer", final=True)

    assert town.texts() == ["the answer"]


async def test_an_answer_to_a_question_that_was_deleted_is_sent_all_the_same(town: Town) -> None:
    event = await asked(town)
    await town.discord.delete(town.square, event.own_id)
    async with line_to(town) as line:
        await reply(line, event).send("the answer", final=True)

    assert town.texts() == ["the answer"]


@pytest.mark.parametrize("denied", ["send_messages", "view_channel"])
async def test_where_the_bot_may_not_speak_it_is_told_so_at_once(town: Town, denied: str) -> None:
    event = await asked(town)
    town.discord.deny(town.square, denied)
    async with line_to(town) as line:
        with pytest.raises(Undeliverable):
            await reply(line, event).send("the answer", final=True)

    assert len(town.discord.calls_of("send")) == 1


async def test_a_person_who_takes_no_messages_cannot_be_reached(town: Town) -> None:
    private = town.discord.dm(town.anna)
    event = EventName(private.id, await town.ask("hello", private))
    town.anna.takes_direct_messages = False
    async with line_to(town) as line:
        with pytest.raises(Undeliverable):
            await reply(line, event).send("the answer", final=True)


async def test_a_discord_that_stays_away_is_a_platform_error(town: Town) -> None:
    event = await asked(town)
    town.discord.fail("send", status=503, times=10)
    async with line_to(town) as line:
        with pytest.raises(PlatformError) as failed:
            await reply(line, event).send("the answer", final=True)

    assert not isinstance(failed.value, Undeliverable)
    assert "the answer" not in failed.value.line()

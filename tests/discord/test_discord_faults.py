"""Whatever goes wrong between the bot and Discord, each message gets its answer, once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botkit_discord import client
from discord_town import Town

from botkit import app
from botkit.errors import ConfigError
from botkit.testing.discord import RateLimits


def sessions(town: Town) -> tuple[int, int]:
    """How often the bot began a session, and how often it resumed one."""
    return town.discord.gateway.n_identified, town.discord.gateway.n_resumed


async def test_a_message_that_comes_twice_is_answered_once(town: Town) -> None:
    async with town.serving():
        town.discord.duplicate_next()
        await town.ask("one")
        await town.ask("two")
        await town.until_said("one", "two")


@pytest.mark.parametrize("fault", ["reconnect_request", "close_connections", "drop_connections"])
async def test_a_lost_connection_is_resumed(town: Town, fault: str) -> None:
    async with town.serving():
        await town.ask("one")
        await town.until_said("one")
        getattr(town.discord, fault)()
        await town.ask("two")
        await town.until_said("one", "two")

    assert sessions(town) == (1, 1)


async def test_what_was_said_while_the_session_was_lost_is_read_from_the_history(town: Town) -> None:
    private = town.discord.dm(town.anna)
    async with town.serving():
        await town.ask("before", private)
        await town.until_said("before", channel=private)
        town.discord.forget_sessions()
        await town.ask("unheard", private)
        await town.ask("unheard as well")
        town.discord.drop_connections()
        await town.until_said("unheard as well")
        await town.until_said("before", "unheard", channel=private)
        await town.ask("after")
        await town.until_said("unheard as well", "after")

    assert sessions(town)[0] == 2


async def test_an_invalid_session_loses_nothing(town: Town) -> None:
    async with town.serving():
        await town.ask("one")
        await town.until_said("one")
        town.discord.invalidate_session()
        await town.ask("two")
        await town.ask("three")
        await town.until_said("one", "two", "three")


async def test_an_event_that_kills_the_client_costs_nothing(town: Town) -> None:
    async with town.serving():
        await town.ask("one")
        town.discord.malformed_event()
        await town.ask("two")
        town.discord.malformed_event()
        await town.ask("three")
        await town.until_said("one", "two", "three")


async def test_a_gateway_that_falls_silent_is_left(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_S", 1.0)
    town.discord.gateway.heartbeat_interval_ms = 300
    async with town.serving():
        await town.ask("one")
        await town.until_said("one")
        town.discord.go_silent()
        await town.ask("two")
        await town.until_said("one", "two")

    assert sessions(town) == (1, 1)


async def test_a_bot_that_was_shut_out_comes_back_when_it_may(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "ADAPTER_BACK_OFF_S", (0.01,))
    async with town.serving():
        await town.ask("one")
        await town.until_said("one")
        town.discord.close_connections(4004)
        await town.ask("two")
        await town.until_said("one", "two")


async def test_an_event_nobody_knows_is_passed_over(town: Town) -> None:
    async with town.serving():
        town.discord.unknown_event()
        await town.ask("one")
        await town.until_said("one")

    assert sessions(town) == (1, 0)


async def test_a_gateway_that_refuses_is_tried_again(town: Town) -> None:
    town.discord.refuse_handshakes(2)
    async with town.serving():
        await town.ask("one")
        await town.until_said("one")


async def test_an_outage_of_the_server_is_waited_for(town: Town) -> None:
    async with town.serving():
        town.discord.set_available(town.guild, available=False)
        town.discord.set_available(town.guild, available=True)
        await town.ask("one")
        await town.until_said("one")


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 503, "times": 3},
        {"status": 503, "after_effect": True},
        {"status": 429, "retry_after": 0.05},
        {"cut": True},
        {"cut": True, "after_effect": True},
        {"cut": True, "after_effect": True, "times": 3},
    ],
    ids=repr,
)
@pytest.mark.parametrize("operation", ["send", "edit"])
async def test_a_call_that_fails_brings_the_answer_once(
    town: Town, operation: str, fault: dict[str, Any]
) -> None:
    async with town.serving():
        town.discord.fail(operation, **fault)
        await town.ask("one two three")
        await town.until_said("one two three")


@pytest.mark.slow
async def test_a_server_error_that_discord_py_retries_brings_the_answer_once(town: Town) -> None:
    async with town.serving():
        town.discord.fail("send", status=500, after_effect=True)
        await town.ask("one two three")
        await town.until_said("one two three")


async def test_a_message_deleted_while_it_grows_goes_on_in_a_new_one(town: Town) -> None:
    town.backend.gate.clear()
    words = ["one ", "two ", "three ", "four"]
    town.backend._script, town.backend.chunk_s = lambda _: words, 0.03
    async with town.serving():
        await town.ask("count")
        town.backend.gate.set()
        await town.discord.wait_for(town.answers)
        await town.discord.delete(town.square, town.answers()[0].id)
        await town.until_said("one two three four")


async def test_a_channel_that_is_closed_to_the_bot_does_not_stop_the_others(town: Town) -> None:
    closed = town.discord.channel(town.guild, "closed")
    town.discord.deny(closed, "send_messages")
    async with town.serving():
        await town.ask(f"{town.bot.mention} one", closed)
        await town.ask("two")
        await town.until_said("two")

    assert town.answers(closed) == []


async def test_a_wrong_token_is_one_line_that_does_not_show_it(town: Town) -> None:
    with pytest.raises(ConfigError) as refused:
        async with town.serving("adapters.discord.token=not-the-token"):
            pass

    assert "adapters.discord.token" in refused.value.line()
    assert "not-the-token" not in refused.value.line()


async def test_a_restart_resumes_and_answers_what_was_said_meanwhile(town: Town) -> None:
    private = town.discord.dm(town.anna)
    async with town.serving():
        await town.ask("before", private)
        await town.until_said("before", channel=private)
    await town.ask("meanwhile", private)
    await town.ask("meanwhile, in the square")
    async with town.serving():
        await town.until_said("before", "meanwhile", channel=private)
        await town.until_said("meanwhile, in the square")

    assert sessions(town) == (1, 1)


async def test_a_restart_after_the_session_has_ended_reads_the_history(town: Town) -> None:
    private = town.discord.dm(town.anna)
    async with town.serving():
        await town.ask("before", private)
        await town.until_said("before", channel=private)
    town.discord.forget_sessions()
    await town.ask("meanwhile", private)
    await town.ask("meanwhile, in the square")
    async with town.serving():
        await town.until_said("before", "meanwhile", channel=private)
        await town.until_said("meanwhile, in the square")

    assert sessions(town)[0] == 2


async def test_a_bot_that_is_new_does_not_answer_what_is_old(town: Town) -> None:
    await town.ask("long ago")
    async with town.serving():
        await town.ask("now")
        await town.until_said("now")


async def test_history_that_cannot_be_read_now_is_read_a_moment_later(town: Town) -> None:
    async with town.serving():
        await town.ask("one")
        await town.until_said("one")
    town.discord.forget_sessions()
    await town.ask("two")
    town.discord.fail("history", status=503, times=2)
    async with town.serving():
        await town.until_said("one", "two")


async def test_two_channels_are_answered_side_by_side(town: Town) -> None:
    others = [town.discord.channel(town.guild, f"room {number}") for number in range(5)]
    async with town.serving():
        await asyncio.gather(*(town.ask(f"{town.bot.mention} in {one.name}", one) for one in others))
        for one in others:
            await town.until_said(f"in {one.name}", channel=one)


@pytest.mark.slow
async def test_two_answers_share_what_a_channel_allows(town: Town) -> None:
    town.discord.limit(RateLimits())
    words = [f"word{number} " for number in range(60)]
    town.backend._script, town.backend.chunk_s = lambda _: words, 0.05
    async with town.serving("chat.scope=member"):
        await town.ask("go on")
        await town.discord.say(town.square, town.ben, f"{town.bot.mention} you, too")
        whole = "".join(words).strip()
        await town.discord.wait_for(
            lambda: [text.strip() for text in town.texts()] == [whole, whole], timeout=40
        )

    assert [call for call in town.discord.calls if call.status == 429] == []

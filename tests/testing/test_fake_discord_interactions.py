"""Commands and buttons of the fake Discord, driven through an unmodified discord.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import discord
import pytest
import yarl
from discord import app_commands, ui
from discord.gateway import DiscordWebSocket
from fake_discord_parts import TOKEN, Client, code_of, running

from botkit.testing.clock import ManualClock
from botkit.testing.discord import Bot, Channel, FakeDiscord, User


class Commands(Client):
    """A client with the command /ask, which does what the test wishes."""

    def __init__(self, do: Callable[[discord.Interaction, str], Awaitable[Any]]) -> None:
        super().__init__()
        self.tree = app_commands.CommandTree(self)
        self.errors: list[BaseException] = []

        @self.tree.command(name="ask", description="Ask something")
        async def ask(interaction: discord.Interaction, text: str) -> None:
            await do(interaction, text)

        @self.tree.error
        async def failed(_: discord.Interaction, error: app_commands.AppCommandError) -> None:
            self.errors.append(getattr(error, "original", error))
            self.bell.ring()

    async def setup_hook(self) -> None:
        await self.tree.sync()


async def test_a_synced_command_is_called_and_answers(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async def do(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.send_message(text.upper())
        await interaction.followup.send("and more")

    async with running(Commands(do)):
        made = await fake.slash(channel, ada, "ask", text="hello")
        await fake.wait_for(lambda: len(fake.messages(channel)) == 2)

    assert made.is_answered
    assert [one.text for one in fake.messages(channel)] == ["HELLO", "and more"]


async def test_an_unknown_command_cannot_be_called(fake: FakeDiscord, bot: Bot, channel: Channel) -> None:
    with pytest.raises(LookupError, match="synced"):
        await fake.slash(channel, fake.user("ben"), "ask")


async def test_a_deferred_answer_is_filled_in_later(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async def do(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.defer(thinking=True)
        [shown] = fake.messages(channel)
        assert shown.is_thinking
        await interaction.edit_original_response(content="half")
        await interaction.edit_original_response(content="all of it")

    client = Commands(do)
    async with running(client):
        await fake.slash(channel, ada, "ask", text="hello")
        await fake.wait_for(lambda: fake.messages(channel) and "all of it" in fake.messages(channel)[0].text)

    [shown] = fake.messages(channel)
    assert not shown.is_thinking
    assert shown.edits == ["", "half", "all of it"]
    assert client.errors == []


async def test_the_first_message_after_a_deferred_answer_takes_its_place(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async def do(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.defer(thinking=True)
        await interaction.followup.send("one")
        await interaction.followup.send("two")

    async with running(Commands(do)):
        await fake.slash(channel, ada, "ask", text="hello")
        await fake.wait_for(lambda: len(fake.messages(channel)) == 2)

    assert [one.text for one in fake.messages(channel)] == ["one", "two"]


async def test_an_ephemeral_answer_is_no_event(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async def do(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.send_message("only you", ephemeral=True)

    client = Commands(do)
    async with running(client):
        await fake.slash(channel, ada, "ask", text="hello")
        await fake.wait_for(lambda: fake.messages(channel))
        await fake.say(channel, ada, "last")
        await client.until(lambda: client.heard)

        assert client.events.count("message") == 1
        assert fake.messages(channel)[0].is_ephemeral
        assert [one.content async for one in client.place(channel).history()] == ["last"]


async def test_a_command_in_a_direct_message(fake: FakeDiscord, bot: Bot, ada: User) -> None:
    async def do(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.send_message(f"{interaction.guild} {interaction.user.name}")

    async with running(Commands(do)):
        await fake.slash(fake.dm(ada), ada, "ask", text="hello")
        await fake.wait_for(lambda: fake.messages(fake.dm(ada)))

    assert fake.messages(fake.dm(ada))[0].text == "None ada"


async def test_a_button_is_pressed_and_the_message_changes(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    class Stop(ui.View):
        def __init__(self) -> None:
            super().__init__(timeout=None)

        @ui.button(label="Stop", custom_id="stop")
        async def stop_it(self, interaction: discord.Interaction, _: ui.Button[Stop]) -> None:
            await interaction.response.edit_message(content=f"stopped by {interaction.user.name}", view=None)

    async with running() as client:
        client.add_view(Stop())
        await client.place(channel).send("writing", view=Stop())
        [shown] = fake.messages(channel)
        assert [one["label"] for one in shown.buttons] == ["Stop"]
        made = await fake.press(shown, "Stop", ada)
        await fake.wait_for(lambda: made.is_answered)

    assert shown.text == "stopped by ada"
    assert shown.buttons == []
    with pytest.raises(LookupError):
        await fake.press(shown, "Stop", ada)


@pytest.fixture
async def late(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FakeDiscord, ManualClock]]:
    clock = ManualClock()
    async with FakeDiscord(clock) as fake:
        monkeypatch.setattr(discord.http.Route, "BASE", fake.api_base)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(fake.gateway_url))
        yield fake, clock


async def test_the_first_answer_must_come_within_three_seconds(
    late: tuple[FakeDiscord, ManualClock],
) -> None:
    fake, clock = late
    fake.add_bot(TOKEN)
    channel, ada = fake.channel(fake.guild("town"), "general"), fake.user("ada")
    codes: list[int] = []

    async def do(interaction: discord.Interaction, text: str) -> None:
        await clock.advance(3.1)
        codes.append(await code_of(interaction.response.send_message("too late")))

    async with running(Commands(do)) as client:
        made = await fake.slash(channel, ada, "ask", text="hello")
        await client.until(lambda: "app_command_completion" in client.events)

    assert codes == [10062]
    assert not made.is_answered


async def test_it_can_be_answered_for_fifteen_minutes(late: tuple[FakeDiscord, ManualClock]) -> None:
    fake, clock = late
    fake.add_bot(TOKEN)
    channel, ada = fake.channel(fake.guild("town"), "general"), fake.user("ada")
    codes: list[int] = []

    async def do(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.defer(thinking=True)
        await clock.advance(899)
        await interaction.edit_original_response(content="in time")
        await clock.advance(2)
        codes.append(await code_of(interaction.edit_original_response(content="too late")))

    async with running(Commands(do)) as client:
        await fake.slash(channel, ada, "ask", text="hello")
        await client.until(lambda: "app_command_completion" in client.events)

    assert codes == [50027]
    assert fake.messages(channel)[0].text == "in time"


async def test_an_interaction_is_answered_once(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async def do(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.send_message("one")

    async with running(Commands(do)):
        made = await fake.slash(channel, ada, "ask", text="hello")
        await fake.wait_for(lambda: made.is_answered)
        url = f"{fake.api_base}/interactions/{made.id}/{made.token}/callback"
        async with aiohttp.ClientSession() as http, http.post(url, json={"type": 5}) as response:
            assert response.status == 400
            assert (await response.json())["code"] == 40060


async def test_a_command_of_a_group_gets_its_options(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    given: list[tuple[int, bool, int | None]] = []
    group = app_commands.Group(name="set", description="Settings")

    @group.command(name="limit", description="A limit")
    async def limit(interaction: discord.Interaction, n: int, strict: bool = False) -> None:
        given.append((n, strict, interaction.channel_id))
        await interaction.response.send_message("done")

    client = Commands(lambda *_: asyncio.sleep(0))
    client.tree.add_command(group)
    thread = fake.thread(channel, "aside")
    async with running(client):
        for place, options in ((channel, {"n": 3, "strict": True}), (thread, {"n": 4})):
            made = await fake.slash(place, ada, "set limit", **options)
            await fake.wait_for(lambda made=made: made.is_answered)

    assert given == [(3, True, channel.id), (4, False, thread.id)]

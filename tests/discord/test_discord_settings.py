"""The section ``adapters.discord``, and whom its addresses concern."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from botkit_discord.settings import API_BASE, DiscordSettings
from discord.gateway import DiscordWebSocket
from discord.http import Route
from discord_town import TOKEN, Town
from pydantic import ValidationError

from botkit.errors import ConfigError
from botkit.testing.discord import FakeDiscord


@pytest.fixture
async def other_town(tmp_path: Path) -> AsyncIterator[Town]:
    async with FakeDiscord() as discord:
        bot, anna = discord.add_bot(TOKEN, name="other"), discord.user("anna")
        guild = discord.guild("elsewhere", anna)
        yield Town(discord, bot, anna, anna, guild, discord.channel(guild, "square"), tmp_path / "other")


def test_without_settings_it_talks_to_discord() -> None:
    assert DiscordSettings().api_base == API_BASE
    assert not DiscordSettings().message_content


def test_the_token_may_lie_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(" a-token\n")

    assert DiscordSettings(token_file=path).bot_token() == "a-token"


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_no_token_is_one_line(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match="token_file"):
        DiscordSettings(token_file=path).bot_token()
    with pytest.raises(ConfigError, match=r"adapters\.discord\.token is not set"):
        DiscordSettings().bot_token()


@pytest.mark.parametrize(
    "values", [{"tokne": "x"}, {"api_base": "discord.com"}, {"gateway_url": "https://x"}, {"backfill_s": -1}]
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DiscordSettings(**values)


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(DiscordSettings(token=TOKEN))


async def test_two_bots_of_one_process_talk_to_two_servers(town: Town, other_town: Town) -> None:
    async with AsyncExitStack() as stack:
        for one in (town, other_town):
            await stack.enter_async_context(one.serving())
        for one in (town, other_town):
            await one.discord.wait_for(lambda one=one: one.bot.commands)
            await one.discord.slash(one.square, one.anna, "model")
        for one in (town, other_town):
            await one.until_said("I use scripted here. Others: none.")

    assert Route.BASE == API_BASE
    assert str(DiscordWebSocket.DEFAULT_GATEWAY) == "wss://gateway.discord.gg/"

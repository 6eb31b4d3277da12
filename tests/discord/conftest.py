"""A Discord of the test's own, and no pauses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from botkit_discord import adapter, client, line, reply
from discord_town import TOKEN, Town

from botkit.testing.discord import FakeDiscord


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "REBUILD_BACK_OFF_S", (0.01,))
    monkeypatch.setattr(client, "IDENTIFY_PAUSE_S", 0.0)
    monkeypatch.setattr(client, "GUILDS_S", 0.05)
    monkeypatch.setattr(client, "RECONNECT_BACK_OFF_S", (0.01,))
    monkeypatch.setattr(line, "RETRY_BACK_OFF_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(reply.DiscordReply, "limits", replace(reply.LIMITS, edit_interval_s=0.02))


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with FakeDiscord() as discord:
        bot = discord.add_bot(TOKEN, name="botto")
        anna, ben = discord.user("anna"), discord.user("ben")
        guild = discord.guild("town", anna, ben)
        square = discord.channel(guild, "square")
        yield Town(discord, bot, anna, ben, guild, square, tmp_path / "data")

"""A fake Discord with one bot, one channel and one person."""

from __future__ import annotations

from collections.abc import AsyncIterator

import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from fake_discord_parts import TOKEN

from botkit.testing.discord import Bot, Channel, FakeDiscord, User


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as fake:
        monkeypatch.setattr(discord.http.Route, "BASE", fake.api_base)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(fake.gateway_url))
        yield fake


@pytest.fixture
def bot(fake: FakeDiscord) -> Bot:
    return fake.add_bot(TOKEN)


@pytest.fixture
def channel(fake: FakeDiscord, bot: Bot) -> Channel:
    return fake.channel(fake.guild("town"), "general")


@pytest.fixture
def ada(fake: FakeDiscord) -> User:
    return fake.user("ada")

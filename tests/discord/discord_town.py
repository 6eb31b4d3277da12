"""The whole bot in this process, on a Discord of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import botkit_discord

from botkit.app import run
from botkit.clock import SystemClock
from botkit.config import load_settings
from botkit.hookspecs import AdapterSpec, BackendSpec
from botkit.plugins import Plugins
from botkit.testing.discord import Bot, Channel, FakeDiscord, Guild, Posted, User
from botkit.testing.scripted import ScriptedBackend

TOKEN = "a-token"  # not a secret of anybody's
START_S = 20.0


@dataclass
class Town:
    """A Discord with one bot, one server, one channel and two people; and the bot, when it serves."""

    discord: FakeDiscord
    bot: Bot
    anna: User
    ben: User
    guild: Guild
    square: Channel
    data: Path
    backend: ScriptedBackend = field(default_factory=lambda: ScriptedBackend(SystemClock()))

    def settings(self, *overrides: str) -> list[str]:
        section = "adapters.discord"
        return [
            "model=scripted",
            f"{section}.enabled=true",
            f"{section}.token={TOKEN}",
            f"{section}.api_base={self.discord.api_base}",
            f"{section}.gateway_url={self.discord.gateway_url}",
            *overrides,
        ]

    @asynccontextmanager
    async def serving(self, *overrides: str) -> AsyncIterator[None]:
        """Let the bot serve while the block runs, and stop it as a signal would."""
        adapters: list[AdapterSpec] = []
        botkit_discord.register_adapters(adapters.append)
        plugins = Plugins(
            backends={"scripted": BackendSpec("scripted", lambda _: self.backend)},
            adapters={"discord": adapters[0]},
        )
        stop, ready = asyncio.Event(), asyncio.Event()

        def announce(part: str, _: str) -> None:
            if part == "adapter discord":
                ready.set()

        settings = load_settings(self.data, overrides=self.settings(*overrides))
        running = asyncio.create_task(run(settings, plugins, announce, stop, only={"discord"}))
        getting_ready = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({running, getting_ready}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            assert ready.is_set()
            yield
        finally:
            getting_ready.cancel()
            stop.set()
            await running

    async def ask(self, text: str, channel: Channel | None = None, **more: int) -> int:
        """Let Anna call the bot in the square, or speak in *channel*."""
        said = text if channel else f"{self.bot.mention} {text}"
        return await self.discord.say(channel or self.square, self.anna, said, **more)

    def answers(self, channel: Channel | None = None) -> list[Posted]:
        """What the bot says, as it stands."""
        return [one for one in self.discord.messages(channel or self.square) if one.author is self.bot]

    def texts(self, channel: Channel | None = None) -> list[str]:
        return [one.text for one in self.answers(channel)]

    async def until_said(self, *texts: str, channel: Channel | None = None, timeout: float = 10) -> None:
        """Wait until the bot's messages are *texts*."""
        try:
            await self.discord.wait_for(lambda: self.texts(channel) == list(texts), timeout=timeout)
        except TimeoutError:
            assert self.texts(channel) == list(texts)

"""An unmodified discord.py client that remembers what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import discord
import pytest

from botkit.testing.bell import Bell
from botkit.testing.discord import Channel

TOKEN = "token"


class Client(discord.Client):
    """Remembers what it was told; its ``bell`` rings at every event."""

    def __init__(self, **options: Any) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(intents=intents, chunk_guilds_at_startup=False, guild_ready_timeout=0.05, **options)
        self.heard: list[discord.Message] = []
        self.events: list[str] = []
        self.bell = Bell()

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        self.events.append(event)
        if event == "message" and args[0].author != self.user:
            self.heard.append(args[0])
        super().dispatch(event, *args, **kwargs)
        self.bell.ring()

    def texts(self) -> list[str]:
        return [one.content for one in self.heard]

    def place(self, channel: Channel) -> discord.PartialMessageable:
        return self.get_partial_messageable(channel.id)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Do without discord.py's five seconds."""

    async def until(self, condition: Callable[[], object]) -> None:
        await self.bell.wait_for(condition, 8)


@asynccontextmanager
async def running(client: Client | None = None) -> AsyncIterator[Client]:
    client = client or Client()
    serving = asyncio.create_task(client.start(TOKEN))
    try:
        await client.until(lambda: "ready" in client.events or serving.done())
        assert not serving.done(), serving
        yield client
    finally:
        await client.close()
        serving.cancel()
        await asyncio.wait({serving})


async def code_of(call: Awaitable[Any]) -> int:
    with pytest.raises(discord.HTTPException) as caught:
        await call
    return caught.value.code

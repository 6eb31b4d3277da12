"""Which chat and which thread a Discord channel is.

A thread is a channel of its own on Discord, below the channel it was opened in; to botkit it is a thread of
that chat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import discord

from botkit.errors import PlatformError
from botkit_discord.line import Line

MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """A channel as botkit names it.  ``thread`` is "" where the channel is no thread."""

    chat: str
    thread: str = ""
    private: bool = False


class Places:
    """Knows the place of each channel; of those that the client does not know, it asks Discord once."""

    def __init__(self, line: Line) -> None:
        """Ask through *line*."""
        self._line = line
        self._known: dict[int, Place] = {}

    async def of(self, channel: Any) -> Place:
        """Return the place of *channel*; one that Discord does not explain is taken for a chat."""
        if isinstance(channel, discord.DMChannel):
            return Place(str(channel.id), private=True)
        if isinstance(channel, discord.Thread):
            return Place(str(channel.parent_id), str(channel.id))
        if not isinstance(channel, discord.PartialMessageable):
            return Place(str(channel.id))
        return await self.of_id(channel.id)

    async def of_id(self, channel_id: int) -> Place:
        """Return the place of the channel *channel_id*."""
        if channel_id not in self._known:
            try:
                found = await self._line.call("reading a channel", lambda c: c.fetch_channel(channel_id))
            except PlatformError:
                return Place(str(channel_id))
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[channel_id] = await self.of(found)
        return self._known[channel_id]

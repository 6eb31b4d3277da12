"""Which message a reply goes back to in the end: the root of its tree."""

from __future__ import annotations

import discord

from botkit.errors import PlatformError
from botkit_discord.events import EventName
from botkit_discord.line import Line

MAX_REMEMBERED = 20_000
MAX_STEPS = 30


class ReplyTrees:
    """Follows replies to their root, through what was seen and, where asked to, through Discord's history."""

    def __init__(self, line: Line, *, ask: bool) -> None:
        """Ask Discord through *line* for messages that were not seen, if *ask*."""
        self._line, self._ask = line, ask
        self._roots: dict[int, int] = {}

    async def root(self, event: discord.Message) -> str | None:
        """Return the event that *event* goes back to; None if it answers nothing."""
        answered = _answered(event)
        if answered is None:
            self._note(event.id, event.id)
            return None
        reference = event.reference.resolved if event.reference else None
        known = reference if isinstance(reference, discord.Message) else None
        root = await self._climb(event.channel.id, answered, known)
        self._note(event.id, root)
        return str(EventName(event.channel.id, root))

    async def _climb(self, channel_id: int, message_id: int, known: discord.Message | None) -> int:
        for _ in range(MAX_STEPS):
            if message_id in self._roots:
                return self._roots[message_id]
            if self._ask and (known is None or _hides_its_reference(known)):
                known = await self._fetch(channel_id, message_id)
            above = _answered(known) if known is not None else None
            if above is None:
                break
            message_id, known = above, None
        return message_id

    async def _fetch(self, channel_id: int, message_id: int) -> discord.Message | None:
        try:
            return await self._line.call(
                "reading a message",
                lambda c: c.get_partial_messageable(channel_id).fetch_message(message_id),
            )
        except PlatformError:
            return None

    def _note(self, message_id: int, root: int) -> None:
        if len(self._roots) >= MAX_REMEMBERED:
            for oldest in sorted(self._roots)[: MAX_REMEMBERED // 2]:
                del self._roots[oldest]
        self._roots[message_id] = root


def _answered(event: discord.Message) -> int | None:
    reference = event.reference
    is_reply = reference is not None and reference.type is discord.MessageReferenceType.reply
    return reference.message_id if reference is not None and is_reply else None


def _hides_its_reference(event: discord.Message) -> bool:
    """Tell whether *event* is a reply that does not say to what, as those inside another message may be."""
    return event.type is discord.MessageType.reply and event.reference is None

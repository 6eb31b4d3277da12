"""What comes in, in order: each message is stored before it counts as read.

discord.py calls handlers side by side, so that a message could be stored before the one it follows, and a
cursor saved that skips another.  Here one task takes messages one at a time, in the order of the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import discord
import structlog

from botkit.errors import StoreError
from botkit.protocols import ChatService, Reply
from botkit.types import Message
from botkit_discord.backfill import missed
from botkit_discord.events import is_talk, message_of
from botkit_discord.journal import Journal, Session
from botkit_discord.line import Line
from botkit_discord.places import Place, Places
from botkit_discord.settings import DiscordSettings
from botkit_discord.trees import ReplyTrees

log = structlog.get_logger(__name__)

STORE_BACK_OFF_S = (0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message of the gateway, and the session as it stood then."""

    event: discord.Message
    session: Session | None


@dataclass(frozen=True, slots=True, eq=False)
class NewSession:
    """A session that began at nothing: what was said before it must be read from the history."""

    client: Any
    session: Session | None


class Intake:
    """Takes in messages of one bot, over all clients that serve it one after the other.

    The line of what has arrived has no bound: Discord cannot be asked to wait, and what is
    not in line is lost.
    """

    def __init__(
        self,
        service: ChatService,
        settings: DiscordSettings,
        line: Line,
        journal: Journal,
        bot: discord.abc.User,
        reply_to: Callable[[Message], Reply],
    ) -> None:
        """Take in for *bot*, from where *journal* ends; *reply_to* gives the place of an answer."""
        self._service, self._settings, self._line = service, settings, line
        self._journal, self._bot, self._reply_to = journal, bot, reply_to
        self.places = Places(line)
        self.trees = ReplyTrees(line, ask=service.settings.chat.scope == "reply")
        self._arrived: asyncio.Queue[Arrival | NewSession] = asyncio.Queue()
        self._to_catch_up: NewSession | None = None
        self._session = journal.session
        self._has_unstored = False

    @property
    def is_behind(self) -> bool:
        """Whether there is a session whose beginning has not been caught up with."""
        return self._to_catch_up is not None

    def put(self, arrival: Arrival | NewSession) -> None:
        """Put what arrived in line; never waits."""
        if isinstance(arrival, NewSession):
            self._to_catch_up = arrival
        self._arrived.put_nowait(arrival)

    def stand(self, session: Session | None) -> None:
        """Take *session* for what has been read, if nothing of it is left in line."""
        if self._arrived.empty() and not self._has_unstored and not self.is_behind:
            self._session = session

    async def run(self) -> None:
        """Take in until cancelled.  What cannot be understood is left out and logged."""
        while True:
            arrival = await self._arrived.get()
            work = self._catch_up(arrival) if isinstance(arrival, NewSession) else self._take_live(arrival)
            taking = asyncio.create_task(work)
            try:
                await asyncio.wait({taking})
            finally:
                taking.cancel()
            self._has_unstored = False
            if not taking.cancelled() and (error := taking.exception()) is not None:
                log.error("event_left_out", error=type(error).__name__, exc_info=error)

    async def save(self) -> None:
        """Save how far has been read, if all of that is stored; raises StoreError."""
        if self._has_unstored:
            return
        await self._service.save_cursor("discord", str(self._bot.id), self._position())

    async def accept(self, message: Message, reply: Reply) -> None:
        """Store *message*, trying again until the store takes it."""
        n_failed = 0
        while True:
            try:
                await self._service.accept(message, reply, cursor=self._position())
            except StoreError as error:
                back_off_s = STORE_BACK_OFF_S[min(n_failed, len(STORE_BACK_OFF_S) - 1)]
                log.warning("message_not_stored", error=error.line(), back_off_s=back_off_s)
                await self._service.clock.sleep(back_off_s)
                n_failed += 1
            else:
                return

    async def _take_live(self, arrival: Arrival) -> None:
        if not self.is_behind:
            self._session = arrival.session
        await self._take(arrival.event, is_noted=not self.is_behind)

    async def _catch_up(self, new: NewSession) -> None:
        """Read what was missed before the session *new*, unless its client ends first."""
        if new is not self._to_catch_up:
            return
        self._session = None  # a process that is killed from here on begins with the history again
        if not await new.client.is_serving():
            return
        now = self._service.clock.now()
        async for event in missed(new.client, self._line, self._journal, self._settings, now):
            await self._take(event, is_noted=True)
        if new is self._to_catch_up:
            self._to_catch_up, self._session = None, new.session
        await self.save()

    async def _take(self, event: discord.Message, *, is_noted: bool) -> None:
        is_private = event.channel.id in self._journal.private
        place = (
            Place(str(event.channel.id), private=True) if is_private else await self.places.of(event.channel)
        )
        self._has_unstored = True
        if is_noted:
            self._journal.note(event.channel.id, event.id, private=place.private)
        root = await self.trees.root(event)
        if is_talk(event):
            message = message_of(event, self._bot, place, root=root)
            await self.accept(message, self._reply_to(message))
        self._has_unstored = False

    def _position(self) -> str:
        return self._journal.position(self._session)

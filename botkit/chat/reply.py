"""Showing an answer while it grows, at the pace of the platform."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

import structlog

from botkit.chat.split import split
from botkit.errors import PlatformError, Undeliverable
from botkit.protocols import Clock, Reply
from botkit.types import Place

log = structlog.get_logger(__name__)

MAX_FAILED_EDITS = 3
EDIT_BACK_OFF_S = 0.5
FINAL_BACK_OFF_S = (0.5, 1.0, 2.0, 4.0)
EMPTIED = "\u2026"

Noted = Callable[[tuple[str, ...]], Awaitable[None]]


@dataclass(slots=True)
class _Shown:
    """One of our messages as it stands on the platform."""

    receipt: str
    text: str
    final: bool


class LiveReply(AbstractAsyncContextManager["LiveReply"]):
    """One answer on a platform: a mailbox of one text, where a newer text replaces the one not yet shown.

    Inside ``async with live:`` whatever ``show`` was last given is brought to the platform, the first text at
    once and later ones no faster than ``limits.edit_interval_s``, and the sign that somebody is typing is
    kept alive until there is something to read.  If the platform fails again and again, the block is left
    with its PlatformError.  ``finish``, after the block, brings the final text, exact and complete.
    """

    def __init__(
        self, reply: Reply, clock: Clock, receipts: Sequence[str] = (), noted: Noted | None = None
    ) -> None:
        """Show on *reply*; nothing is sent before the block is entered or ``finish`` is called.

        *receipts* are of messages that an earlier process has left of this answer: they are edited first.
        *noted* is awaited with all receipts whenever there is a new one.
        """
        self.reply, self._clock, self._noted = reply, clock, noted
        self._limits = reply.limits
        self._messages = [_Shown(receipt, "", final=False) for receipt in receipts]
        self._begins_empty = bool(self._limits.placeholder) and noted is not None
        self._text = ""
        self._place: Place | None = None
        self._changed = asyncio.Event()
        self._closing = False
        self._calling = False
        self._next_call_s = 0.0
        self._group: asyncio.TaskGroup | None = None
        self._showing: asyncio.Task[None] | None = None
        self._typing: asyncio.Task[None] | None = None

    @property
    def receipts(self) -> tuple[str, ...]:
        """The platform's ids of our messages so far."""
        return tuple(message.receipt for message in self._messages)

    def show(self, text: str) -> None:
        """Put *text*, the whole answer so far, into the mailbox."""
        self._text = text
        self._changed.set()

    async def waiting(self, place: Place) -> None:
        """Show the place in line; a platform that fails to show it is only noted."""
        if self._begins_empty:
            # By the task that shows, which is not cancelled in the middle of a call when the wait is over.
            self._place = place
            self._changed.set()
            return
        try:
            await self.reply.waiting(place)
        except PlatformError as error:
            log.warning("place_not_shown", error=error.line())

    async def finish(self, text: str) -> None:
        """Bring *text* as the final one, trying again a few times; raises PlatformError in the end."""
        for back_off_s in (*FINAL_BACK_OFF_S, None):
            try:
                await self._bring(text, final=True)
            except Undeliverable:
                raise
            except PlatformError as error:
                if back_off_s is None:
                    raise
                log.warning("final_text_delayed", error=error.line(), back_off_s=back_off_s)
                await self._clock.sleep(back_off_s)
            else:
                return

    async def __aenter__(self) -> LiveReply:
        """Begin to show."""
        self._group = await asyncio.TaskGroup().__aenter__()
        if self._limits.can_edit:
            self._showing = self._group.create_task(self._keep_showing())
        if self._limits.typing_interval_s > 0:
            self._typing = self._group.create_task(self._keep_typing())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing.

        A call to the platform that is on its way is waited for, so that its receipt is known; only the
        cancellation of the task itself does not wait.
        """
        assert self._group is not None
        self._closing = True
        if self._typing is not None:
            self._typing.cancel()
        if self._showing is not None and not self._calling:
            self._showing.cancel()
        if isinstance(error, Exception):
            kind = error = trace = None
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _keep_showing(self) -> None:
        n_failed = 0
        while not self._closing:
            await self._changed.wait()
            await self._pace()
            self._changed.clear()
            try:
                if self._place is not None and not self._text.strip():
                    await self._show_place(self._place)
                await self._bring(self._text, final=False)
                n_failed = 0
            except PlatformError as error:
                n_failed += 1
                log.warning("edit_failed", error=error.line(), n_failed=n_failed)
                if n_failed == MAX_FAILED_EDITS and not self._closing:
                    raise
                self._next_call_s = self._clock.monotonic() + EDIT_BACK_OFF_S * n_failed
                self._changed.set()

    async def _keep_typing(self) -> None:
        while not self._closing and not self._messages:
            try:
                await self.reply.typing()
            except PlatformError as error:
                log.debug("typing_not_shown", error=error.line())
            await self._clock.sleep(self._limits.typing_interval_s)

    async def _bring(self, text: str, *, final: bool) -> None:
        """Make the messages on the platform say *text*; what they say already is left alone."""
        texts = [part.text for part in split(text, self._limits.max_units)]
        texts = [part for part in texts if part.strip()]  # platforms refuse blank messages
        if final:
            texts += [EMPTIED] * (len(self._messages) - len(texts))
        for index, part in enumerate(texts):
            if self._closing and not final:
                return
            await self._bring_part(index, part, final or index < len(texts) - 1)

    async def _bring_part(self, index: int, text: str, final: bool) -> None:
        message = self._messages[index] if index < len(self._messages) else None
        if message is not None and message.text == text and message.final >= final:
            return
        await self._pace()
        self._calling = True
        try:
            if message is None:
                message = await self._begin(text, final)
            if message.text != text or message.final < final:
                await self.reply.edit(message.receipt, text, final=final)
                message.text, message.final = text, final
        finally:
            self._calling = False
            self._next_call_s = self._clock.monotonic() + self._limits.edit_interval_s

    async def _begin(self, text: str, final: bool) -> _Shown:
        """Send a new message and note its receipt, where it must be before there is a word of the answer."""
        if self._begins_empty:
            text, final = self._limits.placeholder, False
        message = _Shown(await self.reply.send(text, final=final), text, final)
        self._messages.append(message)
        if self._noted is not None:
            await self._noted(self.receipts)
        return message

    async def _show_place(self, place: Place) -> None:
        """Show the place in line in the message that the answer will be written into."""
        await self._pace()
        self._calling = True
        try:
            if not self._messages:
                await self._begin(self._limits.placeholder, final=False)
            await self.reply.waiting(place)
        finally:
            self._calling = False
            self._next_call_s = self._clock.monotonic() + self._limits.edit_interval_s

    async def _pace(self) -> None:
        """Wait until the platform may be called again."""
        left_s = self._next_call_s - self._clock.monotonic()
        if left_s > 0:
            await self._clock.sleep(left_s)

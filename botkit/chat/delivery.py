"""The end of an exchange: its final text is stored, shown, and only then recorded as the outcome.

A process that dies in between leaves the text in the store, and the next one shows the same text in the same
messages.  A platform that is down for a while is waited for; the message stays open meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import structlog

from botkit.chat.exchange import STOPPED, Exchange
from botkit.chat.observer import Observer
from botkit.chat.reply import LiveReply
from botkit.errors import BotkitError, PlatformError, PluginError, StoreError, Undeliverable, UnknownNameError
from botkit.protocols import Clock, Reply
from botkit.types import Outcome

if TYPE_CHECKING:
    from botkit.store.answers import Underway
    from botkit.store.conversations import ConversationStore

log = structlog.get_logger(__name__)

STORE_BACK_OFF_S = (0.2, 1.0, 3.0)
PLATFORM_BACK_OFF_S = (15.0, 60.0, 300.0, 900.0)
"""Pauses between tries to show a final text, after the quick ones of ``LiveReply.finish``."""


class Delivery:
    """Brings answers to their end.  Closes nothing."""

    def __init__(self, store: ConversationStore, clock: Clock, observer: Observer) -> None:
        """Keep the parts."""
        self._store, self._clock, self._observer = store, clock, observer

    def live(self, message_id: int, attempt: int, reply: Reply, receipts: Sequence[str] = ()) -> LiveReply:
        """Return the live reply to a stored message.

        *receipts* are of what an earlier process showed; they count where that outlives a process.
        """
        if not reply.limits.lasting:
            return LiveReply(reply, self._clock)
        return LiveReply(reply, self._clock, receipts, partial(self._note, message_id, attempt))

    async def conclude(self, exchange: Exchange) -> None:
        """Store the final text, show it, and record the outcome."""
        if exchange.error is not None:
            self.log_failure(exchange, exchange.error)
        text = exchange.final_text()
        # An answer stopped before its first word is no turn: nothing was said.
        said = text if exchange.text.strip() or not exchange.interrupted else ""
        if await self._keep(exchange, said):
            await self._show_and_record(exchange, text, said, exchange.outcome)

    async def redeliver(self, exchange: Exchange, answer: Underway) -> None:
        """Show the final text that an earlier process stored and did not get to show, and record it."""
        assert answer.outcome is not None, "only a final text is delivered"
        await self._show_and_record(exchange, answer.text or STOPPED, answer.text, answer.outcome)

    async def answer_command(self, exchange: Exchange, text: str) -> None:
        """Show what a command says and record it; the store keeps commands out of later prompts."""
        try:
            await exchange.live.finish(text)
        except PlatformError as error:
            self.log_failure(exchange, error)
        await self.record_command(exchange, text)

    async def record_command(self, exchange: Exchange, text: str) -> None:
        """Record that a command was obeyed: refused is the outcome of what never reached the model."""
        await self.record(exchange, "refused", text)
        self._observer.outcome("command")

    async def record(self, exchange: Exchange, outcome: Outcome, text: str) -> None:
        """Record the outcome, trying again for a while; else the message stays open and is answered again."""
        completion = exchange.completion(self._clock.monotonic())
        for back_off_s in (*STORE_BACK_OFF_S, None):
            try:
                await self._store.record(
                    exchange.message_id,
                    outcome=outcome,
                    text=text,
                    completion=completion,
                    receipts=exchange.live.receipts,
                    attempt=exchange.attempt,
                )
            except StoreError as error:
                self.log_failure(exchange, error)
                if back_off_s is not None:
                    await self._clock.sleep(back_off_s)
            else:
                log.info("message_settled", id=exchange.id, outcome=outcome, message_id=exchange.message_id)
                return

    def log_failure(self, exchange: Exchange, error: Exception) -> None:
        """Log what went wrong with one exchange, under its id."""
        log.warning("exchange_failed", id=exchange.id, error=line_of(error), exc_info=trace_of(error))

    async def _show_and_record(self, exchange: Exchange, text: str, said: str, outcome: Outcome) -> None:
        try:
            is_shown = await self._show(exchange, text)
        except Undeliverable as error:
            self.log_failure(exchange, error)
            exchange.error, is_shown, outcome = exchange.error or error, True, "failed"
        if is_shown:
            await self.record(exchange, outcome, said)
            self._observer.outcome(outcome)

    async def _show(self, exchange: Exchange, text: str) -> bool:
        """Show the final text; False when the platform stays down: the message is left open."""
        for back_off_s in (*PLATFORM_BACK_OFF_S, None):
            try:
                await exchange.live.finish(text)
            except Undeliverable:
                raise
            except PlatformError as error:
                self.log_failure(exchange, error)
                if back_off_s is not None:
                    await self._clock.sleep(back_off_s)
            else:
                return True
        log.error("answer_left_undelivered", id=exchange.id, message_id=exchange.message_id)
        return False

    async def _keep(self, exchange: Exchange, said: str) -> bool:
        """Store the final text before it is shown; False when somebody else answers the message."""
        for back_off_s in (*STORE_BACK_OFF_S, None):
            try:
                return await self._store.keep(
                    exchange.message_id,
                    attempt=exchange.attempt,
                    receipts=exchange.live.receipts,
                    text=said,
                    outcome=exchange.outcome,
                    completion=exchange.completion(self._clock.monotonic()),
                )
            except StoreError as error:
                self.log_failure(exchange, error)
                if back_off_s is not None:
                    await self._clock.sleep(back_off_s)
        return True  # the person gets the answer although it cannot be stored now

    async def _note(self, message_id: int, attempt: int, receipts: tuple[str, ...]) -> None:
        """Store which messages the platform has of an answer that is still being written."""
        try:
            await self._store.keep(message_id, attempt=attempt, receipts=receipts)
        except StoreError as error:
            log.warning("receipts_not_stored", message_id=message_id, error=error.line())


def line_of(error: Exception) -> str:
    """Return *error* as one line for the log, without what a person wrote."""
    if isinstance(error, UnknownNameError):
        return f"unknown {error.kind}"
    return error.line() if isinstance(error, BotkitError) else f"{type(error).__name__}: {error}"


def trace_of(error: Exception) -> Exception | None:
    """Return *error* if its traceback is wanted: nobody foresaw it, or a plugin's author needs it."""
    return None if isinstance(error, BotkitError) and not isinstance(error, PluginError) else error

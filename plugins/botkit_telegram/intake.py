"""What happens to an update, however it came: the core has it, or it is put aside, before it is confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

import structlog
from telegram import User

from botkit.errors import PlatformError
from botkit.protocols import ChatService
from botkit.types import Message
from botkit_telegram.calls import Calls
from botkit_telegram.keyboard import REGENERATE, STOP
from botkit_telegram.reply import TelegramReply
from botkit_telegram.spot import Spot
from botkit_telegram.trees import Trees
from botkit_telegram.updates import Press, Reader, Unreadable

log = structlog.get_logger(__name__)

STOPPED, NOTHING_TO_STOP, OUT_OF_USE = "Stopped.", "There is nothing to stop.", "This button is out of use."


class Intake:
    """Hands updates to the core.  It owns the tasks that answer presses of buttons: ``aclose`` ends them."""

    def __init__(self, service: ChatService, me: User, calls: Calls, trees: Trees) -> None:
        """Read as the account *me* and answer through *calls*; *trees* learns of all messages."""
        self._service, self._calls, self._trees = service, calls, trees
        self._reader = Reader(me, trees, [one.name for one in service.commands()])
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, raw: Any) -> None:
        """Return once *raw* may be confirmed to Telegram: stored, a duplicate, or nothing to answer.

        Raises StoreError when a message could not be stored: it must come again.
        """
        try:
            read = self._reader.read(raw)
        except Unreadable as error:
            update_id = raw.get("update_id") if isinstance(raw, dict) else None
            log.warning("update_unreadable", update_id=update_id, error=str(error))
            return
        if isinstance(read, Message):
            await self._service.accept(read, self._reply(read))
        elif isinstance(read, Press):
            await self._press(read)

    async def aclose(self) -> None:
        """Cancel what is still being answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _press(self, press: Press) -> None:
        """Do what a button says; whoever pressed it sees that it was noticed."""
        text = OUT_OF_USE
        if press.message is not None and press.data == STOP:
            text = STOPPED if await self._service.stop(press.message) else NOTHING_TO_STOP
        elif press.message is not None and press.data == REGENERATE:
            message = replace(press.message, sent_at=self._service.clock.now())
            await self._service.accept(message, self._reply(message))
            self._spawn(self._calls.take_buttons(Spot.of_event(message.event_id)))
            text = ""
        self._spawn(self._answer_press(press.id, text))

    async def _answer_press(self, press: str, text: str) -> None:
        try:
            await self._calls.answer_press(press, text)
        except PlatformError as error:
            log.info("press_not_answered", error=error.line())

    def _reply(self, message: Message) -> TelegramReply:
        return reply_to(message, self._calls, self._trees)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def reply_to(message: Message, calls: Calls, trees: Trees, receipts: Sequence[str] = ()) -> TelegramReply:
    """Return the place for the answer to *message*; *trees* learns of our messages there.

    *receipts* are of messages that are there already.
    """
    spot = Spot.of_event(message.event_id)
    is_command = message.text.lstrip().startswith("/") and message.text != f"/{REGENERATE}"
    if message.reply_to is not None:
        trees.grow(spot.chat_id, spot.message_id, Spot.of_event(message.reply_to).message_id)

    def sent(receipt: int) -> None:
        trees.grow(spot.chat_id, receipt, spot.message_id)

    ours = [int(receipt) for receipt in receipts]
    for receipt in ours:
        sent(receipt)
    newest = ours[-1] if ours else None
    return TelegramReply(calls, spot, regenerable=not is_command, newest=newest, sent=sent)

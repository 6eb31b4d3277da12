"""Raw updates and a core that only notes what it is handed, for the tests of the Telegram adapter."""

from __future__ import annotations

import itertools
from typing import Any

from telegram import User

from botkit.errors import StoreError
from botkit.protocols import Clock, Reply
from botkit.types import CommandInfo, Message

ME = User(id=99, first_name="Testy", is_bot=True, username="testbot")
ANNA = {"id": 7, "is_bot": False, "first_name": "Anna", "last_name": "Lee"}
GROUP = {"id": -100500, "type": "supergroup", "title": "Friends"}
PRIVATE = {"id": 7, "type": "private", "first_name": "Anna"}
NOON = 1_767_268_800

_ids = itertools.count(1)


def said(text: str, chat: dict[str, Any] = PRIVATE, **fields: Any) -> dict[str, Any]:
    """Return a raw update: Anna says *text*."""
    message = {"message_id": next(_ids), "date": NOON, "chat": chat, "from": ANNA, "text": text, **fields}
    return {"update_id": next(_ids), "message": message}


class Core:
    """Stands for the chat core: keeps what it accepts, or fails as often as ``n_failures`` says."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.accepted: list[Message] = []
        self.stopped: list[Message] = []
        self.n_failures = 0

    async def accept(self, message: Message, reply: Reply, *, cursor: str | None = None) -> None:
        if self.n_failures:
            self.n_failures -= 1
            raise StoreError("the disk is full")
        self.accepted.append(message)

    def commands(self) -> list[CommandInfo]:
        return [CommandInfo("help", "", "show what I understand")]

    async def stop(self, message: Message) -> bool:
        self.stopped.append(message)
        return True

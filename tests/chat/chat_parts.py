"""Values and fakes that the chat's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from botkit.config import Settings
from botkit.store.database import Database
from botkit.testing.clock import ManualClock
from botkit.types import (
    ConversationKey,
    GenerationRequest,
    Message,
    Person,
    PromptTurn,
    Sampling,
)

T = TypeVar("T")
SENT_AT = datetime(2026, 1, 1, tzinfo=UTC)
ROOM = ConversationKey("web", "bot", "room")
ANNA = Person("web", "anna", "Anna")
BEN = Person("web", "ben", "Ben")


class HeldDatabase(Database):
    """A database whose thread the clock waits for."""

    clock: ManualClock

    async def run(self, work: Callable[[Session], T]) -> T:
        with self.clock.held():
            return await super().run(work)


class CancelledAt:
    """Awaits *work* and cancels the own task when it is suspended for the *n*th time."""

    def __init__(self, work: Coroutine[Any, Any, T], n: int) -> None:
        self._work, self._n = work, n
        self.n_awaits = 0

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[Any], Any] = self._work.send
        given: Any = None
        while True:
            try:
                waited = step(given)
            except StopIteration as stop:
                return stop.value
            self.n_awaits += 1
            if self.n_awaits == self._n:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                step, given = self._work.send, (yield waited)
            except BaseException as error:
                step, given = self._work.throw, error


def message(event_id: str = "1", text: str = "hello there", **changed: Any) -> Message:
    """Return a message of Anna's, in the room."""
    values: dict[str, Any] = {
        "event_id": event_id,
        "conversation": ROOM,
        "sender": ANNA,
        "text": text,
        "sent_at": SENT_AT,
    }
    return Message(**{**values, **changed})


def request(
    name: str = "1", person: str = "anna", text: str = "one two three", **changed: Any
) -> GenerationRequest:
    """Return a request of *person* for at most ten tokens."""
    values: dict[str, Any] = {"model": "scripted", "sampling": Sampling(max_tokens=10)}
    return GenerationRequest(name, turns=(PromptTurn("user", text),), person=person, **{**values, **changed})


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks that run besides the calling one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def settings(**sections: Any) -> Settings:
    """Return real settings with some keys of some sections changed."""
    return Settings(data_dir=Path("unused"), **{"model": "scripted", **sections})

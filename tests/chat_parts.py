"""Values and fakes that the chat's tests share."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from botkit.chat.filters import Admission, FilterChain
from botkit.chat.observer import Unobserved
from botkit.chat.pipeline import Pipeline
from botkit.chat.router import ModelRouter
from botkit.config import Settings
from botkit.errors import StoreError
from botkit.protocols import Filter
from botkit.store.conversations import Appended, ConversationStore
from botkit.store.database import Database
from botkit.store.seal import Sealer
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import RecordingReply, ScriptedBackend
from botkit.types import (
    ConversationKey,
    GenerationRequest,
    Limits,
    Message,
    Person,
    PromptTurn,
    Sampling,
    Turn,
)

_numbers = itertools.count(1)
T = TypeVar("T")
SENT_AT = datetime(2026, 1, 1, tzinfo=UTC)
ROOM = ConversationKey("web", "bot", "room")
ANNA = Person("web", "anna", "Anna")
BEN = Person("web", "ben", "Ben")
NO_LIMITS = Limits()


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


class Outcomes(Unobserved):
    """An observer that keeps the outcomes and the times to the first text."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.first_chunks: list[float] = []

    def outcome(self, name: str) -> None:
        self.outcomes.append(name)

    def first_chunk(self, seconds: float) -> None:
        self.first_chunks.append(seconds)


class UnreliableStore(ConversationStore):
    """A store whose next calls of a method fail, as often as ``failures`` says."""

    def __init__(self, database: Database, sealer: Sealer, clock: ManualClock) -> None:
        super().__init__(database, sealer, clock)
        self.failures: dict[str, int] = {}

    def _check(self, name: str) -> None:
        if self.failures.get(name, 0):
            self.failures[name] -= 1
            raise StoreError("the disk is full")

    async def append(self, *args: Any, **kwargs: Any) -> Appended:
        self._check("append")
        return await super().append(*args, **kwargs)

    async def record(self, *args: Any, **kwargs: Any) -> Turn:
        self._check("record")
        return await super().record(*args, **kwargs)


class Bot:
    """A whole pipeline with a scripted model: what ``say`` is told walks all the way."""

    def __init__(
        self, clock: ManualClock, store: ConversationStore, *, filters: Sequence[Filter] = (), **sections: Any
    ) -> None:
        self.clock, self.store = clock, store
        self.settings = settings(**sections)
        self.backend = ScriptedBackend(clock)
        self.observer = Outcomes()
        self.router = ModelRouter(
            lambda name: self.backend, "scripted", lambda: ["scripted", "other"], clock, self.settings.queue
        )
        self._filters = filters
        self.start()

    def start(self) -> None:
        """Make a pipeline as a new process would."""
        admission = Admission(self.settings.chat.max_message_bytes)
        self.pipeline = Pipeline(
            settings=self.settings,
            store=self.store,
            router=self.router,
            filters=FilterChain([admission, *self._filters]),
            clock=self.clock,
            observer=self.observer,
        )

    async def say(self, text: str, event_id: str = "", **changed: Any) -> RecordingReply:
        """Send *text* and return the reply once the message has its outcome."""
        task, reply = self.begin(text, event_id, **changed)
        await self.clock.run(task)
        return reply

    def begin(
        self, text: str, event_id: str = "", limits: Limits = NO_LIMITS, **changed: Any
    ) -> tuple[asyncio.Task[None], RecordingReply]:
        """Send *text* and return at once."""
        reply = RecordingReply(self.clock, limits)
        sent = message(event_id or f"event-{next(_numbers)}", text, **changed)
        return asyncio.create_task(self.pipeline.receive(sent, reply)), reply

    async def turns(self, key: ConversationKey = ROOM) -> list[tuple[str, str]]:
        """Return role and text of the stored turns."""
        conversation = await self.store.conversation(key)
        return [(turn.role, turn.text) for turn in conversation.turns] if conversation else []

    async def assert_idle(self) -> None:
        """Check that nothing is left of any walk: no slot, no place, no task."""
        await self.clock.settle()
        queue = await self.router.queue("scripted")
        assert (queue.n_running, queue.n_waiting, self.backend.running) == (0, 0, 0)
        assert len(self.pipeline._turnstile) == 0
        assert self.pipeline._interrupts == {}
        assert self.pipeline._n_active == 0
        assert {task for task in other_tasks() if "_start" not in repr(task)} == set()


@asynccontextmanager
async def memory_store(clock: ManualClock, folder: Path) -> AsyncIterator[UnreliableStore]:
    """Give a real store in memory, its key in *folder*; the clock waits for its thread."""
    database = await HeldDatabase.open("sqlite://")
    database.clock = clock
    yield UnreliableStore(database, Sealer.open(folder, {}), clock)
    await database.aclose()

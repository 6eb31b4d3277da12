"""A clock whose hands a test turns."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)
THREAD_PAUSE_S = 0.001


class ManualClock:
    """Time that stands still until ``advance`` or ``run`` moves it; it implements ``protocols.Clock``.

    What a thread or a socket does takes no time of this clock, but the clock must know of it: whatever waits
    for one does so in ``with clock.held():``.
    """

    def __init__(self, start: datetime = START) -> None:
        """Begin at *start*; ``monotonic`` begins at 0."""
        self._start = start
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._n_held = 0
        self._released = asyncio.Event()
        self._settling = asyncio.Lock()

    def now(self) -> datetime:
        """Return the time of day, UTC."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Return the seconds since the clock was made."""
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Return once the hands have been turned on by *seconds*; 0 or less lets others run first."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._order), awake))
        try:
            await awake
        finally:
            awake.cancel()

    async def advance(self, seconds: float) -> None:
        """Turn the hands by *seconds*, waking each sleeper at its time and letting all of it happen."""
        end_s = self._elapsed_s + seconds
        await self.settle()
        while self._wake_next(end_s):
            await self.settle()
        self._elapsed_s = end_s
        await self.settle()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the hands while the block runs: it waits for what goes on in real time."""
        self._n_held += 1
        try:
            yield
        finally:
            self._n_held -= 1
            self._released.set()

    async def run(self, work: Awaitable[T]) -> T:
        """Return the result of *work*, jumping to the next sleeper whenever nothing else can go on."""
        task = asyncio.ensure_future(work)
        try:
            while True:
                await self.settle()
                if task.done():
                    return await task
                if not self._wake_next(float("inf")):
                    # Nobody sleeps and nobody holds the hands: a thread that the clock was not told of.
                    await asyncio.wait({task}, timeout=THREAD_PAUSE_S)
        finally:
            task.cancel()

    async def settle(self) -> None:
        """Return once no task of the loop can go on without the clock."""
        ready = getattr(asyncio.get_running_loop(), "_ready", ())
        async with self._settling:  # two at a time would take each other for unfinished work
            while True:
                await asyncio.sleep(0)
                if ready:
                    continue
                if not self._n_held:
                    return
                self._released.clear()
                await self._released.wait()

    @property
    def n_sleepers(self) -> int:
        """How many wait for a later time."""
        return sum(not awake.done() for _, _, awake in self._sleepers)

    def _wake_next(self, end_s: float) -> bool:
        """Move on to the next sleeper's time, if that is not after *end_s*; tell whether there was one."""
        while self._sleepers and self._sleepers[0][0] <= end_s:
            due_s, _, awake = heapq.heappop(self._sleepers)
            if awake.done():
                continue
            self._elapsed_s = max(self._elapsed_s, due_s)
            awake.set_result(None)
            return True
        return False

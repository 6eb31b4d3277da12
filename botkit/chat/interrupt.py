"""Leaving a block from outside: by a stop button (``Interrupt``) or when time is over (``Deadline``).

Both lean on ``asyncio.Timeout``, which tells its own cancellation from everybody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import TypeVar

from botkit.errors import DeadlineExceeded
from botkit.protocols import Clock

T = TypeVar("T")


class Interrupt:
    """A block of code that ``now()`` ends from outside; ``happened`` tells afterwards.

    Used once, by one task: ``async with interrupt: ...``.  The block is left at its next await, its
    contexts are closed as for any error, and execution goes on after the block.
    """

    def __init__(self) -> None:
        """Nothing has happened yet; ``now()`` may come even before the block is entered."""
        self.happened = False
        self._scope: asyncio.Timeout | None = None

    def now(self) -> None:
        """End the block."""
        self.happened = True
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> Interrupt:
        """Enter the block."""
        self._scope = asyncio.timeout(None)
        await self._scope.__aenter__()
        if self.happened:
            self.now()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Swallow the cancellation that ``now()`` caused, and nothing else."""
        scope, self._scope = self._scope, None
        assert scope is not None
        try:
            await scope.__aexit__(kind, error, trace)
        except TimeoutError:
            return True
        return False


class Deadline:
    """A span of time; what is awaited through ``wait`` ends with DeadlineExceeded when it is over.

    ``with Deadline(clock, seconds, "what took too long") as deadline: await deadline.wait(...)``.  It may be
    used by several tasks, one after the other.
    """

    def __init__(self, clock: Clock, seconds: float, what: str) -> None:
        """Keep what to watch; the time runs from entering the block."""
        self._clock, self._seconds, self._what = clock, seconds, what
        self._over = False
        self._pending: asyncio.Timeout | None = None
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Deadline:
        """Start the clock."""
        self._watch = asyncio.get_running_loop().create_task(self._expire())
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the clock."""
        assert self._watch is not None
        self._watch.cancel()

    async def wait(self, work: Awaitable[T]) -> T:
        """Return the result of *work*; if time is over first, cancel it and raise DeadlineExceeded."""
        scope = asyncio.timeout(0 if self._over else None)
        self._pending = scope
        try:
            async with scope:
                return await work
        except TimeoutError:
            if not scope.expired():
                raise
            raise DeadlineExceeded(self._what) from None
        finally:
            self._pending = None

    async def _expire(self) -> None:
        await self._clock.sleep(self._seconds)
        self._over = True
        if self._pending is not None:
            self._pending.reschedule(asyncio.get_running_loop().time())

"""One message of a conversation at a time, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager

from botkit.errors import QueueFull

MAX_WAITING_EACH = 32
MAX_WAITING = 2000


class Turnstile:
    """Lets one through for each conversation, the others wait in line; conversations do not meet.

    At most *max_waiting_each* wait for one conversation and *max_waiting* in all; one more raises QueueFull.
    A conversation in which nobody is leaves nothing behind.
    """

    def __init__(self, max_waiting_each: int = MAX_WAITING_EACH, max_waiting: int = MAX_WAITING) -> None:
        """Keep the bounds."""
        self._max_waiting_each, self._max_waiting = max_waiting_each, max_waiting
        self._lines: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._n_waiting = 0

    def __len__(self) -> int:
        """Return for how many conversations somebody is inside or waits."""
        return len(self._lines)

    def is_busy(self, conversation: Hashable) -> bool:
        """Tell whether whoever comes now has to wait."""
        return conversation in self._lines

    def through(self, conversation: Hashable) -> AbstractAsyncContextManager[None]:
        """Return the context in which *conversation* is yours alone; the place is taken on entering."""
        return _Passage(self, conversation)

    def join(self, conversation: Hashable) -> asyncio.Future[None]:
        """Take a place; the returned future is done when it is its turn.  Raises QueueFull."""
        line = self._lines.get(conversation)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if line is None:
            self._lines[conversation] = deque([turn])
            turn.set_result(None)
            return turn
        if len(line) > self._max_waiting_each or self._n_waiting >= self._max_waiting:
            raise QueueFull(f"{len(line) - 1} messages wait in one conversation, {self._n_waiting} in all")
        line.append(turn)
        self._n_waiting += 1
        return turn

    def leave(self, conversation: Hashable, turn: asyncio.Future[None]) -> None:
        """Give the place back, whether its turn had come or not, and let the next one through."""
        line = self._lines[conversation]
        was_first = line[0] is turn
        line.remove(turn)
        if not was_first:
            self._n_waiting -= 1
        elif line:
            self._n_waiting -= 1
            line[0].set_result(None)
        else:
            del self._lines[conversation]


class _Passage(AbstractAsyncContextManager[None]):
    """One way through."""

    def __init__(self, turnstile: Turnstile, conversation: Hashable) -> None:
        self._turnstile, self._conversation = turnstile, conversation
        self._turn: asyncio.Future[None] | None = None

    async def __aenter__(self) -> None:
        self._turn = turn = self._turnstile.join(self._conversation)
        entered = False
        try:
            # Shielded: a cancelled waiter's future must stay as it is until the place is given back.
            await asyncio.shield(turn)
            entered = True
        finally:
            if not entered:
                self._turnstile.leave(self._conversation, turn)

    async def __aexit__(self, *_: object) -> None:
        assert self._turn is not None
        self._turnstile.leave(self._conversation, self._turn)

"""Tells whoever waits that something has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Bell:
    """Rings at every change; who waits for a certain one looks again each time."""

    def __init__(self) -> None:
        """Begin silent."""
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Wake everybody."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def next_ring(self) -> asyncio.Future[None]:
        """Return what is done at the next ring: nothing is missed between this call and awaiting it."""
        one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(one)
        return one

    async def wait_for(self, condition: Callable[[], object], timeout_s: float | None) -> None:
        """Return once *condition* holds, asking at every ring; raises TimeoutError after *timeout_s*."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                await self.next_ring()

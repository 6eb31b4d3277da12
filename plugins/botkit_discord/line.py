"""The client that is in service, as those see it who want to call Discord."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import discord

from botkit.protocols import Clock
from botkit_discord.failures import FOREIGN, is_transient, platform_error

T = TypeVar("T")
RETRY_BACK_OFF_S = (0.3, 1.0, 3.0)


class Line:
    """Holds the client that is logged in; whoever calls while there is none waits for the next."""

    def __init__(self, clock: Clock) -> None:
        """Begin without a client."""
        self._clock = clock
        self._client: discord.Client | None = None
        self._changed = asyncio.Condition()

    async def connect(self, client: discord.Client) -> None:
        """Put *client*, which is logged in, into service."""
        await self._set(client)

    async def disconnect(self) -> None:
        """Take the client out of service."""
        await self._set(None)

    async def client(self) -> discord.Client:
        """Return the client in service, waiting for one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._client is not None)
        assert self._client is not None
        return self._client

    async def call(
        self, what: str, work: Callable[[discord.Client], Awaitable[T]], *, patient: bool = True
    ) -> T:
        """Return what *work* does with the client in service.

        discord.py itself waits where Discord asks for it, and tries again after some of its failures.  A
        *patient* call is tried again after the others that may pass, too: a service that is away, a
        connection that is cut.  Raises PlatformError.
        """
        for back_off_s in (*(RETRY_BACK_OFF_S if patient else ()), None):
            client = await self.client()
            try:
                return await work(client)
            except FOREIGN as error:
                if back_off_s is None or not is_transient(error):
                    raise platform_error(error, what) from error
            await self._clock.sleep(back_off_s)
        raise AssertionError("the last try returns or raises")

    async def _set(self, client: discord.Client | None) -> None:
        async with self._changed:
            self._client = client
            self._changed.notify_all()

"""Work for a client that is worth doing only as long as the client is there."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from starlette.types import Receive

from botkit.errors import BackendBusy, BotkitError, PlatformError


class ClientGoneError(PlatformError):
    """The client closed its connection; nobody is left to be told anything."""


class Attention(AbstractAsyncContextManager["Attention"]):
    """A block that is left when its client goes away (ClientGoneError) or the server stops (BackendBusy).

    The block is cancelled at its next await, and its contexts are closed as for any error.  The body of the
    request must have been read before: what *receive* gives is thrown away.
    """

    def __init__(self, receive: Receive, closing: asyncio.Event) -> None:
        """Watch *receive* for the client and *closing* for the server."""
        self._receive, self._closing = receive, closing
        self._reason: BotkitError | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._scope = asyncio.timeout(None)

    async def __aenter__(self) -> Attention:
        """Begin to watch."""
        await self._scope.__aenter__()
        self._watchers = [
            asyncio.create_task(self._until_gone()),
            asyncio.create_task(self._until_closing()),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; raise the reason if it was that which ended the block."""
        for watcher in self._watchers:
            watcher.cancel()
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            assert self._reason is not None
            raise self._reason from None

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end(ClientGoneError("the client closed its connection"))

    async def _until_closing(self) -> None:
        await self._closing.wait()
        self._end(BackendBusy("the server is stopping"))

    def _end(self, reason: BotkitError) -> None:
        if self._reason is None:
            self._reason = reason
            self._scope.reschedule(asyncio.get_running_loop().time())

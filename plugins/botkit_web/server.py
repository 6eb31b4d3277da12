"""uvicorn inside our event loop: our socket, our signals, our end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from botkit.errors import EnvironmentFailure

CLOSE_GRACE_S = 2
"""How long open connections may take to finish when the server stops, in whole seconds."""

MAX_FRAME_BYTES = 1024 * 1024
BACKLOG = 1024


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the loop."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; the caller closes it.  Raises EnvironmentFailure with one line."""
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    try:
        return socket.create_server((bare, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "choose another one with web.port" if port else "set web.host"
        raise EnvironmentFailure(f"cannot listen on {host} port {port}: {reason}", hint=hint) from None


def address(listener: socket.socket) -> str:
    """Return the URL under which *listener* is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    app: ASGIApp, listener: socket.socket, closing: asyncio.Event
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve *app* on *listener* for as long as the context is open, then finish within a few seconds.

    Gives the task that serves, which ends by itself only if it fails.  On leaving, *closing* is set first, so
    that streams can say goodbye; what is open after ``CLOSE_GRACE_S`` is cancelled.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws_max_size=MAX_FRAME_BYTES,
        timeout_graceful_shutdown=CLOSE_GRACE_S,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield running
    finally:
        closing.set()
        server.should_exit = True
        await running

"""A fake platform in a terminal: lines typed go in, what the bot says comes out."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TextIO

Write = Callable[[str], object]


class Console(Protocol):
    """One person's chat with one bot, as lines of text."""

    async def take(self, line: str) -> None:
        """Do what *line* says: say it, or press a button."""

    async def show(self) -> None:
        """Print each new version of each answer, until cancelled."""


async def converse(console: Console) -> None:
    """Give *console* the lines of standard input, and let it show, until cancelled."""
    showing = asyncio.ensure_future(console.show())
    try:
        async for line in _lines(sys.stdin):
            await console.take(line)
        await asyncio.Event().wait()
    finally:
        showing.cancel()


def main(run: Callable[[int, str, Write], Awaitable[None]], *, module: str, about: str, token: str) -> None:
    """Be the command ``python -m MODULE``: run ``run(port, token, write)`` until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(f"python -m {module}", description=about)
    parser.add_argument("--port", type=int, default=0, help="the port to listen on; 0 takes a free one")
    parser.add_argument("--token", default=token, help="the token that the bot will use")
    arguments = parser.parse_args()

    async def until_told() -> None:
        task = asyncio.ensure_future(run(arguments.port, arguments.token, _write))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await task

    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(until_told())


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _lines(stream: TextIO) -> AsyncIterator[str]:
    """Give the lines of *stream* that are not empty; none of what is neither a terminal nor a pipe."""
    reader = asyncio.StreamReader()
    with suppress(OSError, ValueError):
        mode = os.fstat(stream.fileno()).st_mode
        if not (stream.isatty() or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            return
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
        try:
            while line := await reader.readline():
                if text := line.decode(errors="replace").strip():
                    yield text
        finally:
            transport.close()

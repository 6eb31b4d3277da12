"""Running the bot in this process, with its signals: what ``run`` and ``serve`` share."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING

from botkit.cli.context import Context

if TYPE_CHECKING:
    from botkit.config import Settings

GONE_WITHIN_S = 9.5
"""The process ends so long after the first signal, whatever a plugin does; the store survives that."""


def serve_until_stopped(shell: Context, settings: Settings, *, only: Collection[str] | None = None) -> None:
    """Run the bot until SIGTERM or SIGINT; a second signal ends it at once."""
    from botkit import log
    from botkit.config import secrets_of

    log.configure(settings.log.level, settings.log.format, secrets_of(settings))
    asyncio.run(_serve(shell, settings, only))


async def _serve(shell: Context, settings: Settings, only: Collection[str] | None) -> None:
    from botkit import app

    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
        deadline = threading.Timer(GONE_WITHIN_S, os._exit, args=(1,))
        deadline.daemon = True
        deadline.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)

    def announce(line: str) -> None:
        shell.tell(line, {"serving": line})

    await app.run(settings, shell.plugins(), announce, stop, only=only)

"""Running the bot in this process, with its signals: what ``run`` and ``serve`` share."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from botkit import __version__
from botkit.cli.context import Context

if TYPE_CHECKING:
    from botkit.config import Settings

GONE_WITHIN_S = 9.5
"""The process ends so long after the first signal, whatever a plugin does; the store survives that."""


def serve_until_stopped(
    shell: Context, settings: Settings, *, only: Collection[str] | None = None, database_url: str = ""
) -> None:
    """Run the bot until SIGTERM or SIGINT; a second signal ends it at once.

    *only* and *database_url* are as for ``botkit.app.run``.
    """
    from botkit import log
    from botkit.config import secrets_of

    log.configure(settings.log.level, settings.log.format, secrets_of(settings))
    asyncio.run(_serve(shell, settings, only, database_url))


async def _serve(shell: Context, settings: Settings, only: Collection[str] | None, database_url: str) -> None:
    from botkit import app

    stop, plugins = asyncio.Event(), shell.plugins()
    _end_on_signals(stop)
    greet(shell, settings)
    announce = partial(tell_ready, shell, settings)
    await app.run(settings, plugins, announce, stop, only=only, database_url=database_url)


def _end_on_signals(stop: asyncio.Event) -> None:
    """Set *stop* at the first signal, and see to it that the process ends."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
        deadline = threading.Timer(GONE_WITHIN_S, os._exit, args=(1,))
        deadline.daemon = True
        deadline.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def greet(shell: Context, settings: Settings) -> None:
    """Tell what is being started."""
    shell.tell(
        f"botkit {__version__}: starting {settings.model}, data in {settings.data_dir}",
        {
            "event": "starting",
            "version": __version__,
            "model": settings.model,
            "data_dir": str(settings.data_dir),
        },
    )


def tell_ready(shell: Context, settings: Settings, part: str, detail: str) -> None:
    """Tell that an adapter serves or that the model is loaded; implements ``botkit.app.Announce``."""
    kind, _, name = part.partition(" ")
    facts = {"event": "ready", kind: name, "detail": detail}
    if kind == "model":
        shell.tell(f"{name} is ready{f' ({detail})' if detail else ''}. Ctrl-C stops it.", facts)
    elif name == "web":
        shell.tell(f"{'Web chat' if settings.web.page else 'API'}: {detail}", facts)
    else:
        shell.tell(f"{name}: {detail}", facts)

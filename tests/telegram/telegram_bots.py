"""The whole bot in this process, connected to a fake Telegram."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import botkit_telegram

from botkit.app import run
from botkit.clock import SystemClock
from botkit.config import load_settings
from botkit.hookspecs import AdapterSpec, BackendSpec
from botkit.plugins import Plugins
from botkit.testing.scripted import ScriptedBackend
from botkit.testing.telegram import FakeTelegram

TOKEN = "123456:AAFakeTokenFakeTokenFakeTokenFake00"
LIMIT_S = 15.0


def spec() -> AdapterSpec:
    found: list[AdapterSpec] = []
    botkit_telegram.register_adapters(register=found.append)
    return found[0]


def overrides(telegram: FakeTelegram, *more: str, token: str = TOKEN) -> list[str]:
    """Return the settings that connect a bot to *telegram*."""
    own = {
        "enabled": "true",
        "token": token,
        "base_url": telegram.base_url,
        "base_file_url": telegram.base_file_url,
    }
    return ["model=scripted", *(f"adapters.telegram.{key}={value}" for key, value in own.items()), *more]


@asynccontextmanager
async def running(
    telegram: FakeTelegram,
    data: Path,
    *more: str,
    backend: ScriptedBackend | None = None,
    crash: bool = False,
    **changed: Any,
) -> AsyncIterator[ScriptedBackend]:
    """Run a bot while the context is open, as ``botkit run`` would; give its model.

    With *crash* it is dropped in the middle of what it does when the context closes.
    """
    backend = backend or ScriptedBackend(SystemClock(), model="scripted")
    plugins = Plugins(
        backends={"scripted": BackendSpec("scripted", lambda _: backend)}, adapters={"telegram": spec()}
    )
    settings = load_settings(data, overrides=overrides(telegram, *more, **changed))
    serving, stop = asyncio.Event(), asyncio.Event()

    def announce(part: str, line: str) -> None:
        if part == "adapter telegram":
            serving.set()

    task = asyncio.create_task(run(settings, plugins, announce, stop, only={"telegram"}))
    served = asyncio.ensure_future(serving.wait())
    try:
        await asyncio.wait({task, served}, return_when=asyncio.FIRST_COMPLETED, timeout=LIMIT_S)
        if task.done():
            task.result()
        assert served.done(), "the bot does not serve"
        yield backend
    finally:
        served.cancel()
        if not crash:
            stop.set()
            await asyncio.wait({task}, timeout=LIMIT_S)
        task.cancel()
        await asyncio.wait({task})

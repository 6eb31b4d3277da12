"""A real site on loopback: the web adapter over the real chat core, a scripted backend, and SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from botkit_web.adapter import WebAdapter

from botkit.chat.filters import Admission, FilterChain
from botkit.chat.pipeline import Pipeline
from botkit.chat.router import ModelRouter
from botkit.chat.service import Chat
from botkit.clock import SystemClock
from botkit.config import load_settings
from botkit.metrics import Metrics
from botkit.store import migrate
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.seal import Sealer
from botkit.testing.scripted import Script, ScriptedBackend, echo

Backends = dict[str, ScriptedBackend]


class HaltingBackend(ScriptedBackend):
    """Says *n_chunks* chunks of each answer, then waits until its gate is opened."""

    def __init__(self, *, n_chunks: int, script: Script = echo, model: str = "scripted") -> None:
        super().__init__(SystemClock(), script, model=model)
        self.gate.clear()
        self._n_chunks = n_chunks
        self._n_said = 0

    async def pause(self) -> None:
        self._n_said += 1
        if self._n_said > self._n_chunks:
            await super().pause()


@dataclass
class RunningSite:
    """A site that serves.  ``serving`` is the adapter's task; ``backends`` by the names of their models."""

    url: str
    chat: Chat
    backends: Backends
    serving: asyncio.Task[None]

    @property
    def backend(self) -> ScriptedBackend:
        return next(iter(self.backends.values()))


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Return once *holds()* is true."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def made_chat(folder: Path, backends: Backends, *overrides: str) -> AsyncIterator[Chat]:
    """A chat core whose state lies in *folder*; the first of *backends* is the default."""
    clock, metrics = SystemClock(), Metrics()
    default = next(iter(backends))
    chosen = ["web.port=0", f"model={default}", "web.page=false", *overrides]
    settings = load_settings(folder, overrides=chosen)
    url = f"sqlite:///{folder / 'botkit.db'}"
    migrate.upgrade(url)
    database = await Database.open(url)
    store = ConversationStore(database, Sealer.open(folder, {}), clock)
    router = ModelRouter(
        backends.__getitem__, default, lambda: list(backends), clock, settings.queue, observer=metrics
    )
    filters = FilterChain([Admission(settings.chat.max_message_bytes)])
    pipeline = Pipeline(
        settings=settings, store=store, router=router, filters=filters, clock=clock, observer=metrics
    )
    try:
        yield Chat(
            settings=settings,
            store=store,
            router=router,
            pipeline=pipeline,
            clock=clock,
            render_metrics=metrics.render,
        )
    finally:
        await router.aclose()
        await database.aclose()


@asynccontextmanager
async def running_site(
    folder: Path, *backends: ScriptedBackend, overrides: tuple[str, ...] = ()
) -> AsyncIterator[RunningSite]:
    """A site that serves until the block is left."""
    named = {backend.model: backend for backend in backends or [ScriptedBackend(SystemClock())]}
    async with made_chat(folder, named, *overrides) as chat:
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(WebAdapter(chat.settings).run(chat, url.set_result))
        await asyncio.wait([serving, url], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            url.cancel()
            await serving
        try:
            yield RunningSite(await url, chat, named, serving)
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

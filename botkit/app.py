"""Everything is made here, and closed here: database, models, chat core, adapters.

    settings, plugins -> open_chat -> Chat -> run: adapters until told to stop -> drain -> close

No other module constructs these parts, and none is global.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import NoReturn

import structlog
from pydantic import ValidationError

from botkit.chat.filters import Admission, FilterChain
from botkit.chat.observer import Observer
from botkit.chat.pipeline import Pipeline
from botkit.chat.router import ModelRouter
from botkit.chat.service import Chat
from botkit.clock import SystemClock
from botkit.config import Settings
from botkit.engine.backend import EngineBackend
from botkit.engine.library import ModelLibrary
from botkit.errors import BotkitError, ConfigError, EnvironmentFailure, UnknownNameError
from botkit.hookspecs import AdapterSpec
from botkit.metrics import Metrics
from botkit.plugins import Plugins
from botkit.protocols import Adapter, Backend, Clock, Reply, Resuming
from botkit.store.address import default_url
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.jobs import OpenMessage
from botkit.store.seal import Sealer
from botkit.types import Limits, Place

log = structlog.get_logger(__name__)

DRAIN_S = 3.0
"""How long running replies may finish after the signal to stop; the process is gone within ten seconds."""
TERMINAL = "terminal"
"""The platform of ``botkit chat``: nobody is there any more, so its open messages are only recorded."""
ADAPTER_BACK_OFF_S = (1.0, 5.0, 15.0, 60.0)

_FALSE = ("false", "0", "no", "off", "n", "f")

Announce = Callable[[str, str], None]
"""Gets a part that is ready now (``adapter NAME``, ``model NAME``) and one line about it, as its address."""


@asynccontextmanager
async def open_chat(
    settings: Settings,
    plugins: Plugins,
    *,
    clock: Clock | None = None,
    database_url: str = "",
    observer: Observer | None = None,
    other_parts: Callable[[], dict[str, str]] = dict,
) -> AsyncIterator[Chat]:
    """Give the chat core, with its database open; close all of it on leaving.

    *database_url* overrules the settings; *observer* replaces the metrics.  Raises ConfigError, StoreError
    and EnvironmentFailure, each with one line.
    """
    clock = clock or SystemClock()
    metrics = Metrics()
    observer = observer or metrics
    url = database_url or settings.database.url.get_secret_value() or default_url(settings.data_dir)
    _make_data_dir(settings)
    async with AsyncExitStack() as stack:
        database = await Database.open(url, auto_migrate=settings.database.auto_migrate)
        stack.push_async_callback(database.aclose)
        store = ConversationStore(database, Sealer.open(settings.data_dir), clock)
        library = ModelLibrary(settings.data_dir / "models")
        router = ModelRouter(
            partial(_open_backend, settings, plugins, library, clock),
            settings.model,
            lambda: [*library.names(), *plugins.backends],
            clock,
            settings.queue,
            observer,
        )
        stack.push_async_callback(router.aclose)
        metrics.show_backends(router.statuses)
        filters = [Admission(settings.chat.max_message_bytes), *plugins.filters(settings)]
        _log_broken(plugins)
        pipeline = Pipeline(
            settings=settings,
            store=store,
            router=router,
            filters=FilterChain(filters),
            clock=clock,
            observer=observer,
        )
        stack.push_async_callback(pipeline.aclose)
        watching = asyncio.create_task(metrics.watch_loop(clock))
        stack.callback(watching.cancel)
        yield Chat(
            settings=settings,
            store=store,
            router=router,
            pipeline=pipeline,
            clock=clock,
            render_metrics=metrics.render,
            other_parts=other_parts,
        )


async def run(
    settings: Settings,
    plugins: Plugins,
    announce: Announce,
    stop: asyncio.Event,
    *,
    only: Collection[str] | None = None,
    database_url: str = "",
) -> None:
    """Run the bot until *stop* is set: all enabled adapters, or those named in *only*.

    *announce* is told of each adapter that serves, and of the model once it is loaded; *database_url*
    overrules the settings.  Raises a BotkitError when the bot cannot start: no such model, corrupt weights,
    port taken, database locked.
    """
    adapters = _adapters(settings, plugins, only)
    check_model(settings, plugins)
    not_serving = {f"adapter {adapter.name}": "starting" for adapter in adapters}
    opening = open_chat(settings, plugins, database_url=database_url, other_parts=lambda: not_serving)
    async with opening as chat:
        stopping = asyncio.ensure_future(stop.wait())
        working = asyncio.create_task(_serve(chat, adapters, not_serving, announce))
        try:
            await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                log.info("stopping")
                await chat.drain(DRAIN_S)
        finally:
            stopping.cancel()
            working.cancel()
            await asyncio.wait({working})
        if not working.cancelled() and (error := working.exception()) is not None:
            _raise_first(error)


async def _serve(
    chat: Chat, adapters: list[Adapter], not_serving: dict[str, str], announce: Announce
) -> None:
    """Finish what an earlier process left open, load the model, and keep the adapters running."""
    by_platform = {adapter.name: adapter for adapter in adapters}
    async with asyncio.TaskGroup() as group:
        # They take their places before anything new comes in; those of other platforms stay open.
        for one in await chat.open_messages({*by_platform, TERMINAL}):
            adapter = by_platform.get(one.message.conversation.platform)
            group.create_task(_resume(chat, one, adapter))
        group.create_task(_prepare(chat, announce))
        for adapter in adapters:
            group.create_task(_keep_running(adapter, chat, not_serving, announce))


async def _prepare(chat: Chat, announce: Announce) -> None:
    model = chat.settings.model
    await chat.prepare(model)
    announce(f"model {model}", next((one.detail for one in chat.backends() if one.model == model), ""))


async def _resume(chat: Chat, one: OpenMessage, adapter: Adapter | None) -> None:
    log.info("message_resumed", message_id=one.message_id, attempt=one.attempt)
    reply: Reply = UnwatchedReply()
    if isinstance(adapter, Resuming):
        reply = adapter.reply(one.message, one.answer.receipts)
    await chat.resume(one, reply)


async def _keep_running(
    adapter: Adapter, chat: Chat, not_serving: dict[str, str], announce: Announce
) -> NoReturn:
    """Run *adapter*, and run it again when it ends.

    One that says before it ever served that settings or machine are not as needed ends the bot: the operator
    is watching and can mend it.  Everything later is its own affair and must not take the others down.
    """
    part, n_failures, has_served = f"adapter {adapter.name}", 0, False

    def started(line: str) -> None:
        nonlocal n_failures, has_served
        n_failures, has_served = 0, True
        not_serving.pop(part, None)
        announce(part, line)

    while True:
        running = asyncio.create_task(adapter.run(chat, started))
        try:
            await asyncio.wait({running})
        finally:
            running.cancel()
            await asyncio.wait({running})
        error = None if running.cancelled() else running.exception()
        if isinstance(error, (ConfigError, EnvironmentFailure)) and not has_served:
            raise error
        reason = error.line() if isinstance(error, BotkitError) else repr(error) if error else "it ended"
        not_serving[part] = reason
        log.error("adapter_ended", adapter=adapter.name, error=reason)
        await chat.clock.sleep(ADAPTER_BACK_OFF_S[min(n_failures, len(ADAPTER_BACK_OFF_S) - 1)])
        n_failures += 1


def _adapters(settings: Settings, plugins: Plugins, only: Collection[str] | None) -> list[Adapter]:
    """Return the adapters that are to run; raises ConfigError for settings of one that are off."""
    for name in settings.adapters:
        if name not in plugins.adapters:
            unknown = UnknownNameError("adapter", name, plugins.adapters)
            raise ConfigError(f"{unknown} in the settings", hint=unknown.hint)
    chosen = [
        spec
        for spec in plugins.adapters.values()
        if (_is_enabled(spec, settings) if only is None else spec.name in only)
    ]
    if not chosen:
        wanted = f"the adapter '{', '.join(only)}' is not there" if only else "no adapter is enabled"
        raise ConfigError(
            f"there is nothing to run: {wanted}", hint="see web.enabled, and 'botkit plugins list'"
        )
    for spec in chosen:
        _validate(spec, settings)
    return [spec.create(settings) for spec in chosen]


def _is_enabled(spec: AdapterSpec, settings: Settings) -> bool:
    if spec.enabled is not None:
        return spec.enabled(settings)
    section = settings.adapters.get(spec.name)
    # What is neither true nor false is told when the section is validated.
    return section is not None and str(section.get("enabled", True)).strip().lower() not in _FALSE


def _validate(spec: AdapterSpec, settings: Settings) -> None:
    if spec.settings is None:
        return
    try:
        spec.settings()(**settings.adapters.get(spec.name, {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(["adapters", spec.name, *(str(part) for part in first["loc"])])
        raise ConfigError(f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def check_model(settings: Settings, plugins: Plugins) -> None:
    """Raise UnknownNameError, with the nearest name or the way to pull it, unless the model is there."""
    library, model = ModelLibrary(settings.data_dir / "models"), settings.model
    if model in plugins.backends:
        return
    known = {*library.names(), *plugins.backends, *plugins.models}
    if model not in known:
        raise UnknownNameError("model", model, known)
    library.path(model, plugins)


def _log_broken(plugins: Plugins) -> None:
    for report in plugins.reports:
        if report.state == "broken":
            log.error("plugin_left_out", plugin=report.name, error=report.error)


def _open_backend(
    settings: Settings, plugins: Plugins, library: ModelLibrary, clock: Clock, name: str
) -> Backend:
    """Return a plugin's own backend of that name, else our engine for the model folder of that name."""
    if name in plugins.backends:
        return plugins.backends[name].create(settings)
    return EngineBackend(name, library.path(name, plugins), settings.engine, clock)


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot make the data folder {settings.data_dir}: {error.strerror}",
            hint="choose another one with --data or BOTKIT_DATA",
        ) from error


def _raise_first(error: BaseException) -> NoReturn:
    """Raise *error*, or the first one in it if it is a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    raise error


class UnwatchedReply:
    """The reply to somebody who is not there any more: only the store keeps it, and a page shows it later."""

    limits = Limits()

    async def send(self, text: str, *, final: bool) -> str:
        """Show nothing."""
        return ""

    async def edit(self, receipt: str, text: str, *, final: bool) -> None:
        """Show nothing."""

    async def typing(self) -> None:
        """Show nothing."""

    async def waiting(self, place: Place) -> None:
        """Show nothing."""

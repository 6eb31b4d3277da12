"""From a model's name to its backend and the line before it; backends start when first needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

import structlog

from botkit.chat.foreign import Foreign
from botkit.chat.observer import UNOBSERVED, Observer
from botkit.chat.queue import GenerationQueue, OnPlace
from botkit.errors import BackendError, BotkitError, QueueFull, UnknownNameError
from botkit.protocols import Backend, Clock
from botkit.types import BackendStatus, Chunk, GenerationRequest, PromptTurn

if TYPE_CHECKING:
    from botkit.config import QueueSettings

log = structlog.get_logger(__name__)


class ModelRouter:
    """Starts a backend for each model that is asked for, once, and closes them all in ``aclose``.

    *open_backend* constructs a backend by name and may raise BotkitErrors.  Requests that come while it
    starts wait for that one start, at most ``queue_settings.max_waiting`` of them.  A backend that could not
    start is closed, and the next request tries again.
    """

    def __init__(
        self,
        open_backend: Callable[[str], Backend],
        default: str,
        names: Callable[[], list[str]],
        clock: Clock,
        queue_settings: QueueSettings,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """Start nothing yet."""
        self.default = default
        self._open_backend, self._names = open_backend, names
        self._clock, self._queue_settings, self._observer = clock, queue_settings, observer
        self._lanes: dict[str, _Lane] = {}
        self._failures: dict[str, str] = {}
        self._closed = False

    def names(self) -> list[str]:
        """Return the names that can be asked for, the default one first."""
        return sorted(set(self._names()), key=lambda name: (name != self.default, name))

    def check_name(self, model: str) -> None:
        """Raise UnknownNameError, naming the nearest, unless *model* can be asked for."""
        if model not in self._lanes and model not in self.names():
            raise UnknownNameError("model", model, self.names())

    def submit(
        self, request: GenerationRequest, on_place: OnPlace | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Return the context in which *request* waits for its backend to start, in line, and runs.

        An empty ``request.model`` means the default one.  Raises what ``GenerationQueue.submit`` raises, and
        UnknownNameError, ModelError, BackendError, PluginError from the start.
        """
        return _RoutedSubmission(self, request, on_place)

    async def count_tokens(self, model: str, turns: Sequence[PromptTurn]) -> int:
        """Return what *turns* cost *model* as a prompt, starting its backend if need be."""
        queue = await self.queue(model)
        with queue.foreign:
            return await queue.backend.count_tokens(turns)

    async def context_tokens(self, model: str) -> int:
        """Return the most tokens that prompt and reply may have together, starting the backend if need be."""
        return (await self.queue(model)).backend.context_tokens

    async def queue(self, model: str) -> GenerationQueue:
        """Return the line before *model*'s backend, which has been started."""
        name = model or self.default
        lane = self._lanes.get(name) or self._open(name)
        if lane.queue is not None:
            return lane.queue
        if lane.n_waiting >= self._queue_settings.max_waiting:
            raise QueueFull(f"{lane.n_waiting} requests wait for '{name}' to start")
        lane.n_waiting += 1
        try:
            # Only waited for: others need the same start when this request is cancelled.
            await asyncio.wait({lane.start})
        finally:
            lane.n_waiting -= 1
        if lane.start.cancelled():
            raise _closing()
        return lane.start.result()

    def statuses(self) -> list[BackendStatus]:
        """Return how each backend is doing that was started, or could not be."""
        failed = [BackendStatus(name, "failed", detail=line) for name, line in self._failures.items()]
        return [lane.backend.status() for lane in self._lanes.values()] + failed

    async def aclose(self) -> None:
        """End all starts and close all backends; safe to call twice.  What fails is only noted."""
        self._closed = True
        lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.start.cancel()
        await asyncio.gather(*(lane.start for lane in lanes), return_exceptions=True)
        closing = (lane.backend.aclose() for lane in lanes)
        for failure in await asyncio.gather(*closing, return_exceptions=True):
            if failure is not None:
                log.warning("backend_close_failed", error=str(failure))

    def _open(self, name: str) -> _Lane:
        if self._closed:
            raise _closing()
        self.check_name(name)
        with Foreign(f"model '{name}'"):
            lane = _Lane(self._open_backend(name))
        self._lanes[name] = lane
        self._failures.pop(name, None)
        lane.start = asyncio.create_task(self._start(name, lane))
        lane.start.add_done_callback(_retrieve)
        return lane

    async def _start(self, name: str, lane: _Lane) -> GenerationQueue:
        started_s = self._clock.monotonic()
        try:
            with Foreign(f"model '{name}'"):
                await lane.backend.start()
            lane.queue = GenerationQueue(lane.backend, self._clock, self._queue_settings, self._observer)
        except BotkitError as error:
            self._failures[name] = error.line()
            log.error("backend_start_failed", model=name, error=error.line())  # noqa: TRY400 - foreseen
            raise
        finally:
            # Whatever kept it from starting, the next request opens a new one.
            if lane.queue is None and self._lanes.get(name) is lane:
                del self._lanes[name]
                await lane.backend.aclose()
        log.info("backend_started", model=name, seconds=round(self._clock.monotonic() - started_s, 3))
        return lane.queue


class _Lane:
    """A backend, its start, and the line before it once it has started."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.queue: GenerationQueue | None = None
        self.n_waiting = 0
        self.start: asyncio.Task[GenerationQueue]


class _RoutedSubmission(AbstractAsyncContextManager[AsyncIterator[Chunk]]):
    """A request's lifetime, the start of its backend included."""

    def __init__(self, router: ModelRouter, request: GenerationRequest, on_place: OnPlace | None) -> None:
        self._router, self._request, self._on_place = router, request, on_place
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> AsyncIterator[Chunk]:
        request = replace(self._request, model=self._request.model or self._router.default)
        queue = await self._router.queue(request.model)
        return await self._stack.enter_async_context(queue.submit(request, on_place=self._on_place))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)


def _closing() -> BackendError:
    return BackendError("the models are being closed")


def _retrieve(start: asyncio.Task[GenerationQueue]) -> None:
    """Take note of a failed start, so that one nobody waited for any more is not reported as forgotten."""
    if not start.cancelled():
        start.exception()

"""Our engine as a backend: a supervised process that is started again when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from botkit.engine.process import EngineProcess, Mailbox
from botkit.engine.worker import Assignment
from botkit.errors import BackendDied, BackendError, BotkitError
from botkit.protocols import Clock
from botkit.types import BackendStatus, Chunk, GenerationRequest, PromptTurn

if TYPE_CHECKING:
    from botkit.config import EngineSettings

log = structlog.get_logger(__name__)

BACK_OFF_S = (0.0, 1.0, 3.0, 10.0, 30.0)
"""Pauses before the process is started again: after its first death, its second in a row ..."""
STEADY_S = 60.0
"""A life longer than this begins the row anew."""
RESTART_WAIT_S = 60.0
"""The longest that a request waits for a process that is being started again."""
STALL_S = 120.0
"""A process that has work and says nothing for so long is hung."""


class EngineBackend:
    """Serves the model in *folder*; implements ``botkit.protocols.Backend``.

    A request that had produced nothing when the process died is tried once more in the next one; another ends
    with BackendDied.
    """

    def __init__(self, name: str, folder: Path, settings: EngineSettings, clock: Clock) -> None:
        """Keep what to start; nothing runs before ``start``."""
        self.model = name
        self._assignment = Assignment(
            folder=str(folder),
            device=settings.device,
            dtype=settings.dtype,
            slots=settings.slots,
            context_tokens=settings.context_tokens,
            prefill_tokens=settings.prefill_tokens,
            threads=settings.threads,
        )
        self._clock = clock
        self._process: EngineProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._is_starting = False
        self._n_restarts = 0
        self._detail = ""
        self._context_tokens = settings.context_tokens

    @property
    def context_tokens(self) -> int:
        """The most tokens that prompt and reply may have together; exact once started."""
        return self._context_tokens

    @property
    def slots(self) -> int:
        """How many requests it works on at a time."""
        return self._assignment.slots

    async def start(self) -> None:
        """Start the process and wait until its model is loaded.  Raises ModelError or BackendDied."""
        assert self._supervisor is None, "a backend is started once"
        self._is_starting = True
        try:
            self._enter(await EngineProcess.start(self._assignment))
        finally:
            self._is_starting = False
        self._supervisor = asyncio.create_task(self._supervise())

    async def aclose(self) -> None:
        """Stop supervising and end the process.  Safe to call twice."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})
            self._supervisor = None
        process, self._process = self._process, None
        if process is not None:
            await process.aclose()

    async def count_tokens(self, turns: Sequence[PromptTurn]) -> int:
        """Return how many tokens *turns* cost as a prompt, the chat template included."""
        prompt = tuple(turns)
        try:
            return await (await self.process()).count_tokens(prompt)
        except BackendDied:
            return await (await self.process()).count_tokens(prompt)

    def generate(self, request: GenerationRequest) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Work on *request* for as long as the returned context is open."""
        return _Generation(self, request)

    def status(self) -> BackendStatus:
        """Tell how the process is doing."""
        process = self._process
        if process is None:
            return BackendStatus(
                self.model,
                "restarting" if self._supervisor else "starting" if self._is_starting else "stopped",
                self._detail,
                restarts=self._n_restarts,
            )
        ready = process.ready
        return BackendStatus(
            self.model,
            "ready",
            f"{ready.dtype} on {ready.device}",
            running=len(process.mailboxes),
            restarts=self._n_restarts,
            resident_bytes=process.resident_bytes(),
        )

    async def process(self) -> EngineProcess:
        """Return the running process; wait a while for one that is being started again."""
        if self._supervisor is None:
            raise BackendError(f"the model '{self.model}' has not been started, or was closed")
        with suppress(TimeoutError):
            async with asyncio.timeout(RESTART_WAIT_S):
                while self._process is None or not self._process.is_alive:
                    self._up.clear()
                    await self._up.wait()
                return self._process
        raise BackendDied(f"the engine of '{self.model}' does not come back: {self._detail}")

    def _enter(self, process: EngineProcess) -> None:
        self._process = process
        self._context_tokens = process.ready.context_tokens
        self._up.set()

    async def _supervise(self) -> None:
        """Wait for the process's end and start it again, for ever, until cancelled."""
        n_deaths = 0
        while True:
            process = self._process
            if process is not None:
                born_s = self._clock.monotonic()
                await self._watch(process)
                self._process = None
                self._n_restarts += 1
                n_deaths = 1 if self._clock.monotonic() - born_s > STEADY_S else n_deaths + 1
                log.error("engine_process_ended", model=self.model, status=process.child.returncode)
            else:
                n_deaths += 1
            await self._clock.sleep(BACK_OFF_S[min(n_deaths, len(BACK_OFF_S)) - 1])
            try:
                self._enter(await EngineProcess.start(self._assignment))
            except BotkitError as error:
                self._detail = error.line()
                log.error("engine_restart_failed", model=self.model, error=error.line())  # noqa: TRY400
            else:
                log.info("engine_process_restarted", model=self.model, n_restarts=self._n_restarts)

    async def _watch(self, process: EngineProcess) -> None:
        """Return when *process* has ended; kill it when it has work and gives no sign of life."""
        loop = asyncio.get_running_loop()
        while not process.ended.done():
            await asyncio.wait({process.ended}, timeout=STALL_S / 4)
            if not process.mailboxes:
                process.last_sign_s = loop.time()
            elif not process.ended.done() and loop.time() - process.last_sign_s > STALL_S:
                log.error("engine_process_hung", model=self.model, seconds=STALL_S)
                process.kill()


class _Generation(AbstractAsyncContextManager[AsyncIterator[Chunk]]):
    """One request at work; it is its own stream.  Leaving it cancels the work on the device."""

    def __init__(self, backend: EngineBackend, request: GenerationRequest) -> None:
        self._backend, self._request = backend, request
        self._process: EngineProcess | None = None
        self._mailbox = Mailbox()
        self._is_retry = False
        self._is_over = False

    async def __aenter__(self) -> AsyncIterator[Chunk]:
        try:
            await self._begin()
        except BackendDied:
            await self._begin_again()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.cancel(self._request.id)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        if self._is_over:
            raise StopAsyncIteration
        try:
            chunk = await self._mailbox.get()
        except BackendDied:
            if self._is_retry or self._mailbox.is_begun:
                raise
            await self._begin_again()
            return await anext(self)
        self._is_over = chunk.finish is not None
        return chunk

    async def _begin(self) -> None:
        self._mailbox = Mailbox()
        self._process = await self._backend.process()
        self._process.generate(self._request, self._mailbox)

    async def _begin_again(self) -> None:
        """Try once more; what ends two processes is never given to a third."""
        self._is_retry = True
        log.warning("request_retried", model=self._backend.model, id=self._request.id)
        await self._begin()

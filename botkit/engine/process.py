"""One life of an engine process: from its start to its end, with the requests that it works on meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from botkit.engine.wire import (
    Cancel,
    Count,
    Counted,
    Failed,
    Generate,
    Message,
    Ready,
    Refused,
    Stepped,
    decode,
    encode,
)
from botkit.errors import BackendDied, BackendError, BotkitError
from botkit.types import Chunk, GenerationRequest, PromptTurn

if TYPE_CHECKING:
    from botkit.engine.worker import Assignment

MAX_LINE_BYTES = 2**24
END_GRACE_S = 2.0
THREADS_THAT_SHARE = {"GOMP_SPINCOUNT": "1000"}
"""How long OpenMP's threads spin before they sleep while they wait for each other.

By default they spin for milliseconds, and one busy process beside them then costs two thirds of the speed;
without spinning, a machine that has nothing else to do loses a sixth.  The figures are in docs/log.md.
"""


class Mailbox:
    """What came for one request and was not fetched yet, in one chunk: a slow reader costs no memory."""

    def __init__(self) -> None:
        """Begin empty."""
        self._chunk: Chunk | None = None
        self._error: BotkitError | None = None
        self._news = asyncio.Event()
        self.is_begun = False
        """Whether anything has come at all."""

    def put(self, event: Chunk | BotkitError) -> None:
        """Add a chunk, or the error that the request ended with."""
        if isinstance(event, Chunk):
            self.is_begun = True
            self._chunk = event if self._chunk is None else _joined(self._chunk, event)
        else:
            self._error = event
        self._news.set()

    async def get(self) -> Chunk:
        """Return all that has come since the last call; raises the error once the chunks are fetched."""
        await self._news.wait()
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            assert self._error is not None
            raise self._error
        if self._error is None:
            self._news.clear()
        return chunk


class EngineProcess:
    """A running engine process.  Whoever started it awaits ``aclose``.

    ``ended`` is done when it is gone, for whatever reason; every open mailbox has then got a BackendDied.
    """

    def __init__(self, child: asyncio.subprocess.Process, ready: Ready) -> None:
        """Use ``EngineProcess.start``."""
        self.child, self.ready = child, ready
        self.is_alive = True
        self.mailboxes: dict[str, Mailbox] = {}
        self.last_sign_s = asyncio.get_running_loop().time()
        """When the process last said something, by the loop's clock."""
        self._counts: dict[int, asyncio.Future[int]] = {}
        self._numbers = count()
        self.ended = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, assignment: Assignment) -> EngineProcess:
        """Start a process and wait until its model is loaded.

        Raises the ModelError that it refuses with, and BackendDied when it ends without a word.
        """
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "botkit.engine.worker", json.dumps(asdict(assignment)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MAX_LINE_BYTES,
            env={**THREADS_THAT_SHARE, **os.environ},
        )  # fmt: skip
        is_ready = False
        try:
            assert child.stdout is not None
            line = await child.stdout.readline()
            if not line:
                status = await child.wait()
                raise BackendDied(f"the engine process ended at its start with status {status}")
            message = decode(line)
            if isinstance(message, Refused):
                raise message.error
            if not isinstance(message, Ready):
                raise BackendError("the engine process began with the wrong message")
            is_ready = True
            return cls(child, message)
        finally:
            if not is_ready:
                await _end(child)

    def generate(self, request: GenerationRequest, mailbox: Mailbox) -> None:
        """Have the process work on *request* and put what comes of it into *mailbox*; raises BackendDied."""
        self.mailboxes[request.id] = mailbox
        self._say(Generate(request))

    def cancel(self, request_id: str) -> None:
        """Have the process drop the request; its mailbox gets nothing more."""
        if self.mailboxes.pop(request_id, None) is not None:
            with suppress(BackendDied):
                self._say(Cancel(request_id))

    async def count_tokens(self, turns: tuple[PromptTurn, ...]) -> int:
        """Return the tokens of *turns* as a prompt; raises BackendDied, and ModelError from the template."""
        number = next(self._numbers)
        self._counts[number] = future = asyncio.get_running_loop().create_future()
        try:
            self._say(Count(number, turns))
            n_tokens: int = await future
        finally:
            self._counts.pop(number, None)
        return n_tokens

    def resident_bytes(self) -> int:
        """Return the memory the process has in use, or 0 where the system does not tell."""
        try:
            statm = Path(f"/proc/{self.child.pid}/statm").read_text("ascii")
            return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def kill(self) -> None:
        """End the process at once; ``ended`` follows."""
        _kill(self.child)

    async def aclose(self) -> None:
        """End the process: its input first, so that it can leave by itself.  Safe to call twice."""
        await _end(self.child)
        await self.ended

    def _say(self, message: Message) -> None:
        assert self.child.stdin is not None
        if not self.is_alive or self.child.stdin.is_closing():
            raise BackendDied("the engine process is gone")
        self.child.stdin.write(encode(message))

    async def _listen(self) -> None:
        assert self.child.stdout is not None
        reason = "its output ended"
        try:
            while line := await self.child.stdout.readline():
                self.last_sign_s = asyncio.get_running_loop().time()
                self._hear(decode(line))
        except (BackendError, ValueError) as error:  # ValueError: a line beyond all bounds
            reason = str(error)
        self.is_alive = False
        self.kill()
        status = await self.child.wait()
        died = BackendDied(f"the engine process ended with status {status}: {reason}")
        mailboxes, self.mailboxes = self.mailboxes, {}
        for mailbox in mailboxes.values():
            mailbox.put(died)
        for future in self._counts.values():
            if not future.done():
                future.set_exception(died)

    def _hear(self, message: Message) -> None:
        if isinstance(message, Counted):
            future = self._counts.get(message.number)
            if future is None or future.done():
                return
            if isinstance(message.n_tokens, BotkitError):
                future.set_exception(message.n_tokens)
            else:
                future.set_result(message.n_tokens)
        elif isinstance(message, Stepped):
            for event in message.events:
                self._deliver(event)

    def _deliver(self, event: Chunk | Failed) -> None:
        mailbox = self.mailboxes.get(event.request_id)
        if mailbox is None:
            return  # cancelled meanwhile
        mailbox.put(event.error if isinstance(event, Failed) else event)
        if isinstance(event, Failed) or event.finish is not None:
            del self.mailboxes[event.request_id]


async def _end(child: asyncio.subprocess.Process) -> None:
    """Close the process's input and wait for its end; kill it if that takes too long."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        async with asyncio.timeout(END_GRACE_S):
            await child.wait()
    except TimeoutError:
        _kill(child)
        await child.wait()
    finally:
        _kill(child)  # it still runs only if the waiting itself was cancelled


def _kill(child: asyncio.subprocess.Process) -> None:
    # Not child.kill(): that polls first, and takes the exit status from whoever waits for it.
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)


def _joined(first: Chunk, second: Chunk) -> Chunk:
    return Chunk(
        first.request_id,
        text=first.text + second.text,
        n_tokens=first.n_tokens + second.n_tokens,
        finish=second.finish,
        usage=second.usage,
        logprobs=first.logprobs + second.logprobs,
    )

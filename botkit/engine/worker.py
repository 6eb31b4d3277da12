"""The engine's process: ``python -m botkit.engine.worker ASSIGNMENT``, with messages on its standard streams.

Two threads: one reads messages, counts tokens and encodes prompts; the other steps the engine.  The process
ends when its input does, so a killed bot leaves no orphan.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO

from botkit.engine.wire import Cancel, Count, Counted, Failed, Generate, Message, Ready, Refused, Stepped
from botkit.engine.wire import decode as decode_message
from botkit.engine.wire import encode as encode_message
from botkit.errors import BackendError, BotkitError, ModelError
from botkit.types import GenerationRequest

if TYPE_CHECKING:
    import torch

    from botkit.engine.engine import Engine

NICENESS = 5
"""The engine lets everybody else go first: the bot's event loop needs its moment at once."""
END_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a process is to run: the model's folder, and ``botkit.config.EngineSettings``."""

    folder: str
    device: str
    dtype: str
    slots: int
    context_tokens: int
    prefill_tokens: int
    threads: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request whose prompt has been encoded."""

    request: GenerationRequest
    prompt: list[int]


Work = Admitted | Cancel
Receive = Callable[[bool], list[Work] | None]
"""Returns what has come; waits for something if told so; None when nothing will come any more."""
Emit = Callable[[Message], None]


def drive(engine: Engine, receive: Receive, emit: Emit) -> None:
    """Step *engine* until *receive* returns None; every request that was admitted gets its end.

    It does not know who carries the messages: a child's pipes, a thread, or a server.
    """
    while (work := receive(engine.idle)) is not None:
        for item in work:
            if isinstance(item, Cancel):
                engine.cancel(item.request_id)
                continue
            try:
                engine.add(item.request, item.prompt)
            except BotkitError as error:
                emit(Stepped((Failed(item.request.id, error),)))
        if engine.idle:
            continue
        try:
            events = engine.step()
        except Exception as error:
            sys.stderr.write(f"botkit engine: a step failed: {_line(error)}\n")
            events = engine.fail_all(BackendError(f"a step of the engine failed: {_line(error)}"))
        emit(Stepped(tuple(events)))


class Inbox:
    """Reads messages on a thread of its own and keeps what concerns the engine's steps.

    Prompts are encoded here, so that a long one does not stall the steps.
    """

    def __init__(self, engine: Engine, lines: BinaryIO, emit: Emit) -> None:
        """Begin to read *lines*."""
        self._engine, self._lines, self._emit = engine, lines, emit
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def receive(self, wait: bool) -> list[Work] | None:
        """Return the work that has come; see ``Receive``."""
        work: list[Work] = []
        while (wait and not work) or not self._work.empty():
            item = self._work.get()
            if item is None:
                return None
            work.append(item)
        return work

    def _read(self) -> None:
        try:
            for line in self._lines:
                self._take(decode_message(line))
        finally:
            self._work.put(None)
        # A step that hangs must not keep the process alive without its bot.
        time.sleep(END_GRACE_S)
        os._exit(1)

    def _take(self, message: Message) -> None:
        if isinstance(message, Cancel):
            self._work.put(message)
        elif isinstance(message, Generate):
            try:
                prompt = self._engine.encode(message.request)
            except BotkitError as error:
                self._emit(Stepped((Failed(message.request.id, error),)))
            else:
                self._work.put(Admitted(message.request, prompt))
        elif isinstance(message, Count):
            self._emit(Counted(message.number, self._count(message)))

    def _count(self, message: Count) -> int | BotkitError:
        try:
            return len(self._engine.codec.encode_chat(message.turns))
        except BotkitError as error:
            return error


def build(assignment: Assignment) -> Engine:
    """Load the model and return an engine for it; raises ModelError with one line."""
    import torch

    from botkit.engine.checkpoint import Checkpoint
    from botkit.engine.codec import TextCodec
    from botkit.engine.engine import Engine
    from botkit.plugins import Plugins

    if assignment.threads:
        torch.set_num_threads(assignment.threads)
    checkpoint = Checkpoint.open(Path(assignment.folder))
    specs = Plugins.load().architectures
    if checkpoint.model_type not in specs:
        known = ", ".join(sorted(specs)) or "none"
        raise ModelError(
            f"no installed plugin runs the architecture '{checkpoint.model_type}'", hint=f"there are: {known}"
        )
    device = choose_device(assignment.device)
    architecture = specs[checkpoint.model_type].load(
        checkpoint.folder, device=device, dtype=choose_dtype(assignment.dtype, device)
    )
    return Engine(
        architecture,
        TextCodec.load(checkpoint.folder),
        n_slots=assignment.slots,
        context_tokens=assignment.context_tokens,
        prefill_tokens=assignment.prefill_tokens,
    )


def choose_device(wanted: str) -> torch.device:
    """Return the device for ``engine.device``; raises ModelError for one that is not there."""
    import torch

    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"engine.device is {wanted}, but there is no such device", hint="use auto or cpu")
    return device


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Return the type for ``engine.dtype``: bfloat16 for "auto" where the device computes with it."""
    import torch

    if wanted != "auto":
        chosen: torch.dtype = getattr(torch, wanted)
        return chosen
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def main(assignment: Assignment, lines: BinaryIO, written: BinaryIO) -> None:
    """Load, say ``Ready``, and work until *lines* end."""
    lock = threading.Lock()

    def emit(message: Message) -> None:
        with lock:
            written.write(encode_message(message))
            written.flush()

    try:
        engine = build(assignment)
    except BotkitError as error:
        emit(Refused(error))
        return
    except Exception as error:
        # Whatever torch raises for what a machine cannot do: no memory, no kernel, no driver.
        emit(Refused(ModelError(f"the model in {assignment.folder} cannot be loaded: {_line(error)}")))
        return
    device, dtype = str(engine.architecture.device), str(engine.architecture.dtype).removeprefix("torch.")
    emit(Ready(engine.context_tokens, engine.n_slots, device, dtype))
    drive(engine, Inbox(engine, lines, emit).receive, emit)


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _run() -> None:
    """Set the process up and run ``main``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the bot's to handle
    os.nice(NICENESS)
    written = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between our messages
    with suppress(BrokenPipeError):
        main(Assignment(**json.loads(sys.argv[1])), sys.stdin.buffer, written)
    os._exit(0)  # interpreter shutdown would wait for the reading thread


if __name__ == "__main__":
    _run()

"""A backend that says what a test wrote for it, and a reply that remembers all that was shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from botkit.errors import BotkitError, PlatformError
from botkit.protocols import Clock
from botkit.types import BackendStatus, Chunk, GenerationRequest, Limits, Place, PromptTurn, Usage

Script = Callable[[GenerationRequest], Sequence[str]]
TURN_OVERHEAD_TOKENS = 2


def words(text: str) -> list[str]:
    """Return the words of *text*, each but the first with the space before it: one chunk a word."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def echo(request: GenerationRequest) -> list[str]:
    """Answer with the newest turn's own words."""
    return words(request.turns[-1].text if request.turns else request.prompt or "")


class ScriptedBackend:
    """Generates what *script* says, a chunk every *chunk_s* seconds of *clock*; implements ``Backend``.

    Each chunk counts as one token, each word of a prompt as one more, each turn as two.  While ``gate`` is
    cleared nothing is generated.  ``fail_after(n, error)`` makes the next request fail after *n* chunks.
    """

    def __init__(
        self,
        clock: Clock,
        script: Script = echo,
        *,
        model: str = "scripted",
        slots: int = 4,
        context_tokens: int = 4096,
        chunk_s: float = 0.0,
    ) -> None:
        """Keep the script and the pace; the gate is open."""
        self.model, self.slots, self.context_tokens = model, slots, context_tokens
        self.chunk_s = chunk_s
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[GenerationRequest] = []
        self.running = 0
        self.peak_running = 0
        self.n_counts = 0
        self.n_starts = 0
        self.n_cancelled = 0
        self.start_error: BotkitError | None = None
        self.closed = False
        self._clock = clock
        self._script = script
        self._failure: tuple[int, BaseException] | None = None

    def fail_after(self, n_chunks: int, error: BaseException) -> None:
        """Let the next request raise *error* after *n_chunks* chunks."""
        self._failure = (n_chunks, error)

    async def start(self) -> None:
        """Be ready, or raise ``start_error``."""
        self.n_starts += 1
        await self._clock.sleep(0)
        if self.start_error is not None:
            raise self.start_error

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    async def count_tokens(self, turns: Sequence[PromptTurn]) -> int:
        """Return one token a word and two a turn."""
        self.n_counts += 1
        return sum(len(turn.text.split()) + TURN_OVERHEAD_TOKENS for turn in turns)

    def generate(self, request: GenerationRequest) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Work on *request* for as long as the context is open."""
        return _Work(self, request)

    def status(self) -> BackendStatus:
        """Tell how many requests run."""
        return BackendStatus(self.model, "ready", running=self.running)

    async def chunks_of(self, request: GenerationRequest) -> list[Chunk]:
        """Return the chunks that *request* gets, its failure aside."""
        pieces = list(self._script(request))
        shown = pieces[: request.sampling.max_tokens]
        usage = Usage(await self.count_tokens(request.turns), len(shown))
        end = Chunk(request.id, finish="stop" if len(shown) == len(pieces) else "length", usage=usage)
        return [*(Chunk(request.id, text=piece, n_tokens=1) for piece in shown), end]

    async def pause(self) -> None:
        """Wait for the gate and for a chunk's time."""
        await self.gate.wait()
        await self._clock.sleep(self.chunk_s)

    def take_failure(self) -> tuple[int, BaseException] | None:
        """Return the failure that was asked for, once."""
        failure, self._failure = self._failure, None
        return failure


class _Work(AbstractAsyncContextManager[AsyncIterator[Chunk]]):
    """One request at work; it is its own stream."""

    def __init__(self, backend: ScriptedBackend, request: GenerationRequest) -> None:
        self._backend, self._request = backend, request
        self._chunks: list[Chunk] = []
        self._n_given = 0
        self._failure: tuple[int, BaseException] | None = None

    async def __aenter__(self) -> AsyncIterator[Chunk]:
        backend = self._backend
        self._chunks = await backend.chunks_of(self._request)
        backend.requests.append(self._request)
        backend.running += 1
        backend.peak_running = max(backend.peak_running, backend.running)
        self._failure = backend.take_failure()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._backend.running -= 1
        self._backend.n_cancelled += self._n_given < len(self._chunks)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        if self._n_given == len(self._chunks):
            raise StopAsyncIteration
        await self._backend.pause()
        if self._failure is not None and self._n_given >= self._failure[0]:
            raise self._failure[1]
        self._n_given += 1
        return self._chunks[self._n_given - 1]


@dataclass(frozen=True, slots=True)
class Shown:
    """One call that a reply received: ``send``, ``edit`` or ``typing``, and when."""

    at_s: float
    kind: str
    receipt: str = ""
    text: str = ""
    final: bool = False


@dataclass
class RecordingReply:
    """Remembers every call; ``fail_next(n)`` lets the next *n* sends and edits fail.

    Each call takes *call_s* seconds of the clock.  A blank text and one over ``limits.max_units`` are
    refused, as the platforms do.
    """

    clock: Clock
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    call_s: float = 0.0
    calls: list[Shown] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    final: set[str] = field(default_factory=set)
    n_failures_left: int = 0
    failure: type[PlatformError] = PlatformError

    @property
    def text(self) -> str:
        """All messages as they stand, one after the other."""
        return "".join(self.messages.values())

    def fail_next(self, n: int, failure: type[PlatformError] = PlatformError) -> None:
        """Let the next *n* sends and edits fail."""
        self.n_failures_left, self.failure = n, failure

    def of_kind(self, kind: str) -> list[Shown]:
        """Return the calls of one kind."""
        return [call for call in self.calls if call.kind == kind]

    async def send(self, text: str, *, final: bool) -> str:
        """Keep a new message and return its receipt."""
        receipt = f"r{len(self.messages) + 1}"
        await self._accept("send", receipt, text, final)
        return receipt

    async def edit(self, receipt: str, text: str, *, final: bool) -> None:
        """Replace a message's text."""
        if receipt not in self.messages:
            raise PlatformError(f"no message {receipt}")
        if not self.limits.can_edit:
            raise PlatformError("this platform cannot edit")
        await self._accept("edit", receipt, text, final)

    async def typing(self) -> None:
        """Note the sign."""
        self.calls.append(Shown(self.clock.monotonic(), "typing"))

    async def waiting(self, place: Place) -> None:
        """Note the place in line."""
        self.places.append(place)

    async def _accept(self, kind: str, receipt: str, text: str, final: bool) -> None:
        await self.clock.sleep(self.call_s)
        if self.n_failures_left:
            self.n_failures_left -= 1
            raise self.failure(f"{kind} failed as the test wished")
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        if not text.strip() or 0 < self.limits.max_units < units:
            raise PlatformError(f"the platform refuses a text of {units} units")
        self.calls.append(Shown(self.clock.monotonic(), kind, receipt, text, final))
        self.messages[receipt] = text
        if final:
            self.final.add(receipt)

"""The model ``echo``: answers at once with the newest turn's own words.  For trying out, and for tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager

from botkit.types import (
    BackendStatus,
    Chunk,
    FinishReason,
    GenerationRequest,
    PromptTurn,
    TokenLogprob,
    Usage,
)

_WORD = re.compile(r"\s*\S+|\s+$")


class EchoBackend:
    """Implements ``botkit.protocols.Backend``; one token is one word with the blanks before it."""

    model = "echo"
    context_tokens = 2**20
    slots = 64

    def __init__(self) -> None:
        """Hold nothing."""
        self._running = 0
        self._started = False

    async def start(self) -> None:
        """Be ready; there is nothing to load."""
        self._started = True

    async def aclose(self) -> None:
        """Be stopped; what still runs ends with its own context."""
        self._started = False

    async def count_tokens(self, turns: Sequence[PromptTurn]) -> int:
        """Return the number of words."""
        return sum(len(_words(turn.text)) for turn in turns)

    def generate(self, request: GenerationRequest) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Answer *request* for as long as the context is open."""
        return _Echo(self, request)

    def status(self) -> BackendStatus:
        """Tell how many requests run."""
        return BackendStatus(self.model, "ready" if self._started else "stopped", running=self._running)

    def count_running(self, change: int) -> None:
        """Take note of a request that begins (1) or ends (-1)."""
        self._running += change


class _Echo(AbstractAsyncContextManager[AsyncIterator[Chunk]]):
    """One request; it is its own stream, so leaving the block ends it whoever still holds the iterator."""

    def __init__(self, backend: EchoBackend, request: GenerationRequest) -> None:
        self._backend, self._request = backend, request
        self._chunks: Iterator[Chunk] = iter(())
        self._open = False

    async def __aenter__(self) -> AsyncIterator[Chunk]:
        self._chunks = iter(_chunks(self._request))
        self._open = True
        self._backend.count_running(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        self._backend.count_running(-1)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        await asyncio.sleep(0)  # a long text must not keep the loop from others
        chunk = next(self._chunks, None) if self._open else None
        if chunk is None:
            raise StopAsyncIteration
        return chunk


def _chunks(request: GenerationRequest) -> list[Chunk]:
    sampling = request.sampling
    words = _words(_newest(request))
    said = words[: sampling.max_tokens]
    finish: FinishReason = "stop" if len(said) == len(words) else "length"
    text = "".join(said)
    ends = [at for stop in sampling.stop if stop and (at := text.find(stop)) >= 0]
    if ends:
        said, finish = _words(text[: min(ends)]), "stop"
    usage = Usage(sum(len(_words(turn.text)) for turn in request.turns) or len(words), len(said))
    last = Chunk(request.id, finish=finish, usage=usage)
    certain = sampling.logprobs is not None
    return [*(_chunk(request.id, word, certain=certain) for word in said), last]


def _chunk(request_id: str, word: str, *, certain: bool) -> Chunk:
    logprobs = (TokenLogprob(word, 0.0),) if certain else ()
    return Chunk(request_id, text=word, n_tokens=1, logprobs=logprobs)


def _newest(request: GenerationRequest) -> str:
    if request.prompt is not None:
        return request.prompt
    return next((turn.text for turn in reversed(request.turns) if turn.role == "user"), "")


def _words(text: str) -> list[str]:
    return _WORD.findall(text)

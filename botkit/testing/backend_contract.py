"""What every backend promises, as tests to inherit.

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def backend(self):
            return MyBackend(...)

The fixture gives a backend that has not been started; each test starts and closes it.  pytest-asyncio runs
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from botkit.errors import BotkitError
from botkit.protocols import Backend
from botkit.types import Chunk, GenerationRequest, PromptTurn, Sampling

FREED_WITHIN_S = 1.0
MAX_ENDLESS_TOKENS = 32_768
WORDS = "rivers run from the mountains to the sea and never come back the same way"


@pytest.mark.asyncio
class BackendContract:
    """Inherit this and give a fixture ``backend``; what a backend does beyond it is its own affair."""

    @pytest.fixture
    def backend(self) -> Backend:
        """Return the backend to test, not yet started."""
        raise NotImplementedError("a BackendContract needs a fixture 'backend'")

    async def test_it_tells_what_it_is_and_closes_twice(self, backend: Backend) -> None:
        """Name, context and slots are known once started; closing again does nothing."""
        async with started(backend):
            assert backend.model
            assert backend.context_tokens > 0
            assert backend.slots > 0
            assert backend.status().model == backend.model
            assert backend.status().state == "ready"
            assert backend.status().running == 0
        await backend.aclose()

    async def test_a_stream_ends_once_with_finish_and_usage(self, backend: Backend) -> None:
        """Only the last chunk has them, and nothing comes after it."""
        async with started(backend), backend.generate(asking(backend)) as stream:
            chunks = [chunk async for chunk in stream]
            assert [chunk async for chunk in stream] == []
        check_whole(chunks, "1")
        assert "".join(chunk.text for chunk in chunks).strip()

    async def test_leaving_early_frees_the_slot(self, backend: Backend) -> None:
        """After the first chunk, more often than there are slots, and before any chunk was asked for."""
        async with started(backend):
            for n in range(backend.slots + 1):
                async with backend.generate(asking(backend, str(n))) as stream:
                    await anext(stream)
                await check_free(backend)
            async with backend.generate(asking(backend, "unread")):
                pass
            await check_free(backend)

    async def test_leaving_by_an_error_frees_the_slot(self, backend: Backend) -> None:
        """An error of the reader passes through unchanged."""

        async def read() -> None:
            async with backend.generate(asking(backend)) as stream:
                await anext(stream)
                raise ZeroDivisionError

        async with started(backend):
            with pytest.raises(ZeroDivisionError):
                await read()
            await check_free(backend)

    async def test_cancelling_the_reader_frees_the_slot(self, backend: Backend) -> None:
        """A task that waits for a chunk can be cancelled, and then nothing runs any more."""
        reading = asyncio.Event()

        async def read() -> None:
            async with backend.generate(asking(backend)) as stream:
                reading.set()
                await anext(stream)
                await asyncio.Event().wait()

        async with started(backend):
            task = asyncio.create_task(read())
            await reading.wait()
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            await check_free(backend)

    async def test_no_more_than_max_tokens_come(self, backend: Backend) -> None:
        """A reply that was cut says so."""
        request = asking(backend)
        async with started(backend):
            async with backend.generate(request) as stream:
                whole = [chunk async for chunk in stream]
            short = replace(request, id="2", sampling=replace(request.sampling, max_tokens=2))
            async with backend.generate(short) as stream:
                chunks = [chunk async for chunk in stream]
        check_whole(chunks, "2")
        assert completion_tokens(chunks) <= 2
        if completion_tokens(whole) > 2:
            assert chunks[-1].finish == "length"

    async def test_odd_prompts_end_or_are_refused(self, backend: Backend) -> None:
        """No turns, a blank turn, a bare text, one beyond most contexts: each ends, or has a BotkitError."""
        endless = f"{WORDS} " * (min(backend.context_tokens, MAX_ENDLESS_TOKENS) // 4)
        odd = [
            replace(asking(backend, "none"), turns=()),
            replace(asking(backend, "blank"), turns=(PromptTurn("user", " "),)),
            replace(asking(backend, "text"), turns=(), prompt=WORDS),
            replace(asking(backend, "endless"), turns=(PromptTurn("user", endless),)),
        ]
        async with started(backend):
            for request in odd:
                with suppress(BotkitError):
                    async with backend.generate(request) as stream:
                        chunks = [chunk async for chunk in stream]
                    check_whole(chunks, request.id)
                await check_free(backend)

    async def test_requests_run_beside_each_other(self, backend: Backend) -> None:
        """As many as there are slots; each gets its own chunks."""

        async def read(request: GenerationRequest) -> list[Chunk]:
            async with backend.generate(request) as stream:
                return [chunk async for chunk in stream]

        async with started(backend):
            requests = [asking(backend, f"r{n}") for n in range(backend.slots)]
            replies = await asyncio.gather(*map(read, requests))
            await check_free(backend)
        for request, chunks in zip(requests, replies, strict=True):
            check_whole(chunks, request.id)

    async def test_longer_prompts_cost_more_tokens(self, backend: Backend) -> None:
        """A prompt with more turns, or with longer ones, never costs less."""
        async with started(backend):
            counts = [
                await backend.count_tokens([PromptTurn("user", " ".join(WORDS.split()[:n]))])
                for n in range(1, 15)
            ]
            talk = [PromptTurn("user", WORDS), PromptTurn("assistant", WORDS), PromptTurn("user", WORDS)]
            assert counts == sorted(counts)
            assert 0 < counts[0] < counts[-1] < await backend.count_tokens(talk)


@asynccontextmanager
async def started(backend: Backend) -> AsyncIterator[None]:
    """Start *backend* for the block, and close it."""
    try:
        await backend.start()
        yield
    finally:
        await backend.aclose()


def asking(backend: Backend, request_id: str = "1") -> GenerationRequest:
    """Return a small request for *backend*."""
    turns = (PromptTurn("user", f"Tell me how {WORDS}"),)
    return GenerationRequest(request_id, backend.model, turns, sampling=Sampling(max_tokens=12, seed=1))


def check_whole(chunks: list[Chunk], request_id: str) -> None:
    """Check that *chunks* are a finished reply to that request."""
    assert chunks, "a stream has at least the chunk that finishes it"
    assert {chunk.request_id for chunk in chunks} == {request_id}
    assert [chunk.finish for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].finish in ("stop", "length")
    assert chunks[-1].usage is not None
    assert sum(chunk.n_tokens for chunk in chunks) <= completion_tokens(chunks)
    for chunk in chunks:
        chunk.text.encode("utf-8")  # never half a character


def completion_tokens(chunks: list[Chunk]) -> int:
    """Return how many tokens the reply says it has."""
    usage = chunks[-1].usage
    assert usage is not None
    return usage.completion_tokens


async def check_free(backend: Backend) -> None:
    """Check that soon nothing runs any more."""
    end_s = asyncio.get_running_loop().time() + FREED_WITHIN_S
    while backend.status().running and asyncio.get_running_loop().time() < end_s:  # noqa: ASYNC110
        await asyncio.sleep(0.005)  # the device has its own time, and no event tells of it
    assert backend.status().running == 0

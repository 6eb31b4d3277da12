"""The contract of backends: ours pass, and one that breaks a promise does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from botkit.protocols import Backend
from botkit.testing.backend_contract import BackendContract
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import ScriptedBackend
from botkit.types import BackendStatus, Chunk, GenerationRequest, PromptTurn


class TestScriptedBackend(BackendContract):
    @pytest.fixture
    async def backend(self) -> Backend:
        return ScriptedBackend(ManualClock(), slots=3)


class Faulty(ScriptedBackend):
    """Breaks one promise."""

    def __init__(self, fault: str) -> None:
        super().__init__(ManualClock(), slots=2)
        self.fault = fault

    @asynccontextmanager
    async def generate(self, request: GenerationRequest) -> AsyncIterator[AsyncIterator[Chunk]]:  # type: ignore[override]
        if self.fault == "ignores max_tokens":
            request = replace(request, sampling=replace(request.sampling, max_tokens=100))
        async with super().generate(request) as chunks:
            yield self._spoiled(chunks)

    async def _spoiled(self, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        async for chunk in chunks:
            if chunk.finish and self.fault == "never finishes":
                return
            if chunk.finish and self.fault == "finishes twice":
                yield chunk
            yield replace(chunk, request_id="other") if self.fault == "mixes requests up" else chunk

    def status(self) -> BackendStatus:
        return replace(super().status(), running=int(bool(self.requests) and self.fault == "keeps slots"))

    async def count_tokens(self, turns: list[PromptTurn]) -> int:  # type: ignore[override]
        return 7 if self.fault == "counts wrongly" else await super().count_tokens(turns)


PROMISES = [getattr(BackendContract(), name) for name in dir(BackendContract) if name.startswith("test_")]


@pytest.mark.parametrize(
    "fault",
    [
        "ignores max_tokens",
        "never finishes",
        "finishes twice",
        "mixes requests up",
        "keeps slots",
        "counts wrongly",
    ],
)
async def test_a_broken_promise_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botkit.testing.backend_contract.FREED_WITHIN_S", 0.01)
    noticed = 0
    for promise in PROMISES:
        try:
            await promise(Faulty(fault))
        except AssertionError:
            noticed += 1

    assert noticed


async def test_without_a_fault_nothing_is_noticed() -> None:
    for promise in PROMISES:
        await promise(Faulty(""))

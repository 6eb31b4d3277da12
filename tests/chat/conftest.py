"""Parts that the chat's tests share: a clock, a scripted model, a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
from chat_parts import Bot, UnreliableStore, memory_store

from botkit.testing.clock import ManualClock
from botkit.testing.scripted import ScriptedBackend

# An example's time says nothing on a machine that does other things, too.
hypothesis.settings.register_profile("chat", deadline=None)
hypothesis.settings.load_profile("chat")


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def backend(clock: ManualClock) -> ScriptedBackend:
    return ScriptedBackend(clock)


@pytest.fixture
async def store(clock: ManualClock, tmp_path: Path) -> AsyncIterator[UnreliableStore]:
    async with memory_store(clock, tmp_path) as opened:
        yield opened


@pytest.fixture
async def bot(clock: ManualClock, store: UnreliableStore) -> Bot:
    return Bot(clock, store)

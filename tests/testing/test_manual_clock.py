"""The clock whose hands a test turns."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from botkit.testing.clock import START, ManualClock


async def note(clock: ManualClock, delay_s: float, name: str, notes: list[tuple[float, str]]) -> None:
    await clock.sleep(delay_s)
    notes.append((clock.monotonic(), name))


async def test_sleepers_wake_at_their_own_times_in_order() -> None:
    clock, notes = ManualClock(), []
    sleepers = [asyncio.create_task(note(clock, s, f"{s}", notes)) for s in (3.0, 1.0, 2.0)]

    await clock.advance(2.0)

    assert notes == [(1.0, "1.0"), (2.0, "2.0")]
    assert clock.n_sleepers == 1
    await clock.advance(1.0)
    assert notes[-1] == (3.0, "3.0")
    await asyncio.gather(*sleepers)


async def test_sleepers_of_one_time_wake_in_the_order_of_falling_asleep() -> None:
    clock, notes = ManualClock(), []
    sleepers = [asyncio.create_task(note(clock, 1.0, name, notes)) for name in "cab"]

    await clock.advance(1.0)

    assert [name for _, name in notes] == ["c", "a", "b"]
    await asyncio.gather(*sleepers)


async def test_what_a_sleeper_starts_upon_waking_is_part_of_the_same_advance() -> None:
    clock, notes = ManualClock(), []

    async def twice() -> None:
        await note(clock, 1.0, "first", notes)
        await note(clock, 1.0, "second", notes)

    task = asyncio.create_task(twice())
    await clock.advance(5.0)

    assert notes == [(1.0, "first"), (2.0, "second")]
    assert clock.monotonic() == 5.0
    assert clock.now() == START + timedelta(seconds=5)
    await task


async def test_run_jumps_from_sleeper_to_sleeper() -> None:
    clock = ManualClock()

    async def work() -> str:
        for _ in range(100):
            await clock.sleep(3600)
        return "done"

    assert await clock.run(work()) == "done"
    assert clock.monotonic() == 360_000


async def test_run_passes_on_what_the_work_raises() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await ManualClock().run(work())


async def test_the_hands_stand_still_while_a_thread_is_waited_for() -> None:
    clock = ManualClock()
    release = threading.Event()
    background = asyncio.create_task(clock.sleep(1000))

    async def work() -> float:
        with clock.held():
            await asyncio.to_thread(release.wait, 10)
        return clock.monotonic()

    running = asyncio.create_task(clock.run(work()))
    await asyncio.to_thread(time.sleep, 0.02)  # real time, in which a wrong clock would jump
    assert clock.monotonic() == 0.0
    release.set()

    assert await running == 0.0
    await clock.advance(1000)
    await background


async def test_advance_lets_a_thread_finish_before_it_turns_the_hands() -> None:
    clock, seen = ManualClock(), []

    async def work() -> None:
        with clock.held():
            await asyncio.to_thread(time.sleep, 0.01)
        seen.append(clock.monotonic())

    task = asyncio.create_task(work())
    await clock.advance(10)

    assert seen == [0.0]
    await task


async def test_run_also_ends_when_a_thread_was_not_announced() -> None:
    assert await ManualClock().run(asyncio.to_thread(lambda: 7)) == 7


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(1))
    await clock.settle()
    sleeper.cancel()
    await clock.settle()

    assert clock.n_sleepers == 0
    await clock.advance(5)
    assert sleeper.cancelled()


async def test_cancelling_run_cancels_the_work() -> None:
    clock, gate = ManualClock(), asyncio.Event()
    work = asyncio.ensure_future(gate.wait())
    running = asyncio.create_task(clock.run(work))
    await clock.settle()

    running.cancel()
    await asyncio.wait({running, work})

    assert work.cancelled()


async def test_a_thousand_jumps_take_no_noticeable_time() -> None:
    clock = ManualClock()

    async def work() -> None:
        for _ in range(1000):
            await clock.sleep(1)

    begun_s = time.perf_counter()
    await clock.run(work())

    assert time.perf_counter() - begun_s < 2.0

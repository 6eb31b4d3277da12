"""Leaving a block from outside: by a stop button, or when time is over."""

from __future__ import annotations

import asyncio

import pytest
from chat_parts import other_tasks

from botkit.chat.interrupt import Deadline, Interrupt
from botkit.errors import DeadlineExceeded
from botkit.testing.clock import ManualClock


async def interrupted(interrupt: Interrupt, steps: list[str]) -> None:
    async with interrupt:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("closed")
    steps.append("went on")


async def test_now_ends_the_block_and_the_task_goes_on(clock: ManualClock) -> None:
    interrupt, steps = Interrupt(), []
    task = asyncio.create_task(interrupted(interrupt, steps))
    await clock.settle()
    assert not interrupt.happened
    interrupt.now()
    interrupt.now()
    await task

    assert steps == ["closed", "went on"]
    assert interrupt.happened
    assert task.cancelling() == 0


async def test_now_may_come_before_the_block(clock: ManualClock) -> None:
    interrupt, steps = Interrupt(), []
    interrupt.now()
    await interrupted(interrupt, steps)

    assert steps == ["closed", "went on"]


async def test_now_may_come_after_the_block(clock: ManualClock) -> None:
    interrupt = Interrupt()
    async with interrupt:
        pass
    interrupt.now()
    await asyncio.sleep(0)

    assert interrupt.happened


async def test_an_ordinary_cancellation_passes_through_an_interrupt(clock: ManualClock) -> None:
    steps: list[str] = []
    task = asyncio.create_task(interrupted(Interrupt(), steps))
    await clock.settle()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert steps == ["closed"]


async def test_an_ordinary_cancellation_wins_over_a_stop_at_the_same_time(clock: ManualClock) -> None:
    interrupt, steps = Interrupt(), []
    task = asyncio.create_task(interrupted(interrupt, steps))
    await clock.settle()
    interrupt.now()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()


async def test_an_error_of_the_block_is_not_swallowed(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with Interrupt():
            raise ValueError("mine")
    with pytest.raises(TimeoutError):
        async with Interrupt():
            raise TimeoutError


async def test_a_deadline_ends_what_is_awaited_through_it(clock: ManualClock) -> None:
    async def work() -> None:
        with Deadline(clock, 5, "too long") as deadline:
            assert await deadline.wait(asyncio.sleep(0, "quick")) == "quick"
            await deadline.wait(clock.sleep(100))

    with pytest.raises(DeadlineExceeded, match="too long"):
        await clock.run(work())
    assert clock.monotonic() == 5.0


async def test_a_deadline_that_ran_out_between_two_awaits_ends_the_next_one(clock: ManualClock) -> None:
    async def work() -> None:
        with Deadline(clock, 5, "too long") as deadline:
            await clock.sleep(6)
            await deadline.wait(clock.sleep(100))

    with pytest.raises(DeadlineExceeded):
        await clock.run(work())
    assert clock.monotonic() == 6.0


async def test_a_deadline_may_be_carried_to_another_task(clock: ManualClock) -> None:
    async def work() -> None:
        with Deadline(clock, 5, "too long") as deadline:
            await deadline.wait(clock.sleep(1))
            await asyncio.create_task(deadline.wait(clock.sleep(100)))

    with pytest.raises(DeadlineExceeded):
        await clock.run(work())


async def test_a_timeout_of_the_work_itself_is_its_own(clock: ManualClock) -> None:
    async def work() -> None:
        raise TimeoutError("theirs")

    with Deadline(clock, 5, "too long") as deadline, pytest.raises(TimeoutError, match="theirs"):
        await deadline.wait(work())


async def test_an_ordinary_cancellation_passes_through_a_deadline(clock: ManualClock) -> None:
    async def work() -> None:
        with Deadline(clock, 5, "too long") as deadline:
            await deadline.wait(asyncio.Event().wait())

    task = asyncio.create_task(work())
    await clock.settle()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()


async def test_a_stop_inside_a_deadline_is_still_a_stop(clock: ManualClock) -> None:
    interrupt = Interrupt()

    async def work() -> str:
        with Deadline(clock, 5, "too long") as deadline:
            async with interrupt:
                await deadline.wait(asyncio.Event().wait())
            return "stopped"

    task = asyncio.create_task(work())
    await clock.settle()
    interrupt.now()

    assert await task == "stopped"


async def test_a_deadline_leaves_no_task(clock: ManualClock) -> None:
    with Deadline(clock, 5, "too long") as deadline:
        await deadline.wait(asyncio.sleep(0))
    await clock.settle()

    assert other_tasks() == set()
    assert clock.n_sleepers == 0

"""Budgets: what matters waits, what does not is left out."""

from __future__ import annotations

import asyncio

from botkit_telegram.budget import GROUP_CALLS, PRIVATE_CALLS, RESERVE_CALLS, Budget

from botkit.testing.clock import ManualClock

GROUP, PRIVATE = -100500, 7


async def spare_calls(budget: Budget, chat_id: int) -> int:
    """Return how many calls that can be left out may be made at once."""
    n = 0
    while await budget.spend_spare(chat_id):
        n += 1
    return n


async def test_what_can_be_left_out_leaves_room_for_what_cannot() -> None:
    budget = Budget(ManualClock())

    assert await spare_calls(budget, GROUP) == GROUP_CALLS - RESERVE_CALLS
    async with asyncio.timeout(1):
        for _ in range(RESERVE_CALLS):
            await budget.spend(GROUP)


async def test_each_chat_has_a_budget_of_its_own() -> None:
    budget = Budget(ManualClock())
    await spare_calls(budget, GROUP)

    assert await spare_calls(budget, PRIVATE) == PRIVATE_CALLS - RESERVE_CALLS


async def test_a_chat_that_was_told_to_wait_waits_and_others_do_not() -> None:
    clock = ManualClock()
    budget = Budget(clock)
    budget.pause(GROUP, 7)
    waiting = asyncio.create_task(budget.spend(GROUP))
    await budget.spend(PRIVATE)
    await clock.advance(6.9)

    assert not waiting.done()
    assert not await budget.spend_spare(GROUP)

    await clock.advance(0.2)
    assert waiting.done()
    assert await budget.spend_spare(GROUP)


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    clock = ManualClock()
    budget = Budget(clock)
    budget.pause(GROUP, 7)
    budget.pause(GROUP, 1)
    await clock.advance(2)

    assert budget.is_paused(GROUP)

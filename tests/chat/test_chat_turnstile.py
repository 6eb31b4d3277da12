"""One message of a conversation at a time, in the order in which they came."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botkit.chat.turnstile import Turnstile
from botkit.errors import QueueFull
from botkit.testing.clock import ManualClock


async def test_messages_of_one_conversation_pass_one_by_one_in_order(clock: ManualClock) -> None:
    turnstile, steps = Turnstile(), []

    async def pass_through(name: int) -> None:
        async with turnstile.through("a"):
            steps.append(("in", name))
            await clock.sleep(1)
            steps.append(("out", name))

    await clock.run(asyncio.gather(*(pass_through(n) for n in range(5))))

    assert steps == [(step, n) for n in range(5) for step in ("in", "out")]
    assert len(turnstile) == 0


async def test_conversations_do_not_wait_for_each_other(clock: ManualClock) -> None:
    turnstile = Turnstile()

    async def pass_through(name: int) -> None:
        async with turnstile.through(name):
            await clock.sleep(1)

    await clock.run(asyncio.gather(*(pass_through(n) for n in range(50))))

    assert clock.monotonic() == 1.0


async def test_the_place_is_taken_before_anything_is_awaited() -> None:
    turnstile = Turnstile()
    first, second = turnstile.join("a"), turnstile.join("a")

    assert first.done()
    assert not second.done()
    turnstile.leave("a", first)
    assert second.done()
    turnstile.leave("a", second)
    assert len(turnstile) == 0


async def test_a_conversation_with_too_many_waiting_is_refused_and_others_are_not() -> None:
    turnstile = Turnstile(max_waiting_each=2)
    turns = [turnstile.join("a") for _ in range(3)]

    with pytest.raises(QueueFull):
        turnstile.join("a")
    other = turnstile.join("b")

    turnstile.leave("a", turns[0])
    turns.append(turnstile.join("a"))
    for turn in turns[1:]:
        turnstile.leave("a", turn)
    turnstile.leave("b", other)
    assert len(turnstile) == 0


async def test_all_conversations_together_have_a_bound() -> None:
    turnstile = Turnstile(max_waiting_each=10, max_waiting=3)
    for name in "abc":
        turnstile.join(name)
        turnstile.join(name)

    with pytest.raises(QueueFull):
        turnstile.join("a")
    turnstile.join("d")  # nobody is in there: it need not wait


async def test_an_exception_inside_lets_the_next_one_through(clock: ManualClock) -> None:
    turnstile = Turnstile()

    async def fail() -> None:
        async with turnstile.through("a"):
            raise ValueError

    results = await clock.run(asyncio.gather(fail(), fail(), return_exceptions=True))

    assert [type(result) for result in results] == [ValueError, ValueError]
    assert len(turnstile) == 0


async def test_cancelling_who_waits_keeps_the_order_of_the_others(clock: ManualClock) -> None:
    turnstile, passed = Turnstile(), []

    async def pass_through(name: int) -> None:
        async with turnstile.through("a"):
            passed.append(name)
            await clock.sleep(1)

    tasks = [asyncio.create_task(pass_through(n)) for n in range(4)]
    await clock.settle()
    tasks[1].cancel()
    await clock.run(asyncio.wait(tasks))

    assert passed == [0, 2, 3]
    assert len(turnstile) == 0


async def test_cancelling_who_has_just_been_let_in_lets_the_next_one_in(clock: ManualClock) -> None:
    turnstile, passed = Turnstile(), []

    async def pass_through(name: int) -> None:
        async with turnstile.through("a"):
            passed.append(name)

    first = turnstile.join("a")
    tasks = [asyncio.create_task(pass_through(n)) for n in range(2)]
    await clock.settle()
    turnstile.leave("a", first)  # the turn is the first task's, but it has not run yet
    tasks[0].cancel()
    await clock.run(asyncio.wait(tasks))

    assert passed == [1]
    assert len(turnstile) == 0


@given(seed=st.integers(0, 2**32), n=st.integers(1, 30))
def test_nobody_is_lost_and_nobody_meets_whatever_is_cancelled(seed: int, n: int) -> None:
    chance = random.Random(seed)
    turnstile, inside, passed = Turnstile(), set(), []

    async def pass_through(name: int, conversation: int) -> None:
        async with turnstile.through(conversation):
            assert conversation not in inside
            inside.add(conversation)
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                passed.append((conversation, name))
            finally:
                inside.discard(conversation)

    async def main() -> None:
        tasks = []
        for name in range(n):
            tasks.append(asyncio.create_task(pass_through(name, chance.randrange(3))))
            if chance.random() < 0.3:
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        unforeseen = [r for r in results if r is not None and not isinstance(r, asyncio.CancelledError)]
        assert unforeseen == []
        assert len(turnstile) == 0
        assert turnstile._n_waiting == 0
        for conversation in range(3):
            names = [name for where, name in passed if where == conversation]
            assert names == sorted(names)

    asyncio.run(main())

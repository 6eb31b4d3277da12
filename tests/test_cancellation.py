"""A walk may be cancelled at any await: nothing stays behind but the message itself, open or settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chat_parts import BEN, ROOM, Bot, CancelledAt, UnreliableStore, memory_store, message
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from botkit.store.schema import MessageRow
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import RecordingReply
from botkit.types import ConversationKey, Limits

TEXT = "one two three four five six"
LIMITS = Limits(max_units=12, edit_interval_s=0.15, typing_interval_s=0.2)
AHEAD = ConversationKey("web", "bot", "ahead")


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    """A bot with one slot, so that a message may have to wait in line for it."""
    clock = ManualClock()
    async with memory_store(clock, tmp_path) as store:
        bot = Bot(clock, store)
        bot.backend.slots, bot.backend.chunk_s = 1, 0.1
        await bot.say("hello", conversation=AHEAD)  # the model has started
        yield bot


def states(session: Session) -> dict[str, tuple[str, int]]:
    """Return, by event, the state of each message and how many answers stand for it."""
    answers = (
        select(MessageRow.parent_id, func.count().label("n"))
        .where(MessageRow.role == "assistant", MessageRow.state != "superseded")
        .group_by(MessageRow.parent_id)
        .subquery()
    )
    rows = session.execute(
        select(MessageRow.event_id, MessageRow.state, func.coalesce(answers.c.n, 0))
        .outerjoin(answers, answers.c.parent_id == MessageRow.id)
        .where(MessageRow.role == "user")
    )
    return {event_id: (state, n) for event_id, state, n in rows}


async def assert_sound(bot: Bot) -> dict[str, tuple[str, int]]:
    """Check that nothing is at work and that each message has just as many answers as its state says."""
    await bot.assert_idle()
    found = await bot.store._database.run(states)
    for event_id, (state, n_answers) in found.items():
        # An open message may have an answer that is stored and not shown yet.
        assert n_answers in ((0, 1) if state == "open" else (1,)), (event_id, state, n_answers)
    return found


async def resume_all(bot: Bot) -> None:
    """Do what the next process would do."""
    for left in await bot.store.open_messages():
        await bot.clock.run(bot.pipeline.resume(left, RecordingReply(bot.clock, LIMITS)))


async def cancelled_walk(bot: Bot, text: str, n: int, *, wait_in_line: bool) -> int:
    """Let a message walk, cancel it at its *n*th await; return how many awaits there were."""
    ahead = bot.begin("a b", conversation=AHEAD, sender=BEN)[0] if wait_in_line else None
    await bot.clock.advance(0.15)
    reply = RecordingReply(bot.clock, LIMITS, call_s=0.02)
    probe = CancelledAt(bot.pipeline.receive(message(f"{text}-{n}", text), reply), n)

    async def walk() -> None:
        await probe

    task = asyncio.create_task(walk())
    await bot.clock.run(asyncio.wait({task, ahead} if ahead else {task}))
    assert task.cancelled() == (n <= probe.n_awaits)
    return probe.n_awaits


@pytest.mark.parametrize("wait_in_line", [False, True], ids=["at once", "in line"])
async def test_an_answer_can_be_cancelled_at_every_await(bot: Bot, wait_in_line: bool) -> None:
    n_awaits = await cancelled_walk(bot, TEXT, 10**6, wait_in_line=wait_in_line)

    assert n_awaits >= 12  # append, prompt, chunks, final messages, record
    seen = set()
    for n in range(1, n_awaits + 1):
        await cancelled_walk(bot, TEXT, n, wait_in_line=wait_in_line)
        found = await assert_sound(bot)
        seen.add(found.get(f"{TEXT}-{n}", ("absent", 0))[0])
        await resume_all(bot)
        found = await assert_sound(bot)
        assert {state for state, _ in found.values()} == {"answered"}
    assert "open" in seen


@pytest.mark.parametrize("text", ["/help", "/reset", "/model other", "/regenerate", "/stop"])
async def test_a_command_can_be_cancelled_at_every_await(bot: Bot, text: str) -> None:
    await bot.say("hello")
    n_awaits = await cancelled_walk(bot, text, 10**6, wait_in_line=False)
    for n in range(1, n_awaits + 1):
        await bot.say("hello")
        await cancelled_walk(bot, text, n, wait_in_line=False)
        await assert_sound(bot)
        await resume_all(bot)
        found = await assert_sound(bot)
        assert not any(state == "open" for state, _ in found.values())
    assert (await bot.say("still there?")).text != ""


async def test_an_answer_can_be_cancelled_at_any_moment(bot: Bot) -> None:
    """Also while only the reply's own tasks are at work: in an edit, or in the pause after it."""
    for hundredth in range(0, 100, 3):
        event_id = f"moment-{hundredth}"
        task = asyncio.create_task(
            bot.pipeline.receive(message(event_id, TEXT), RecordingReply(bot.clock, LIMITS, call_s=0.05))
        )
        await bot.clock.advance(hundredth / 100)
        task.cancel()
        await bot.clock.run(asyncio.wait({task}))
        await assert_sound(bot)
        await resume_all(bot)
        assert (await assert_sound(bot))[event_id] == ("answered", 1)


async def test_who_waits_behind_a_cancelled_message_is_answered(bot: Bot) -> None:
    tasks = [bot.begin(TEXT, f"wait-{n}", conversation=ROOM) for n in range(4)]
    await bot.clock.advance(0.35)
    for task, _ in (tasks[0], tasks[2]):
        task.cancel()
    await bot.clock.run(asyncio.wait({task for task, _ in tasks}))

    assert [reply.text for _, reply in (tasks[1], tasks[3])] != ["", ""]
    assert tasks[2][1].calls == []
    await assert_sound(bot)


async def test_a_failing_record_cancelled_between_its_tries_leaves_the_message_open(
    bot: Bot,
) -> None:
    store = bot.store
    assert isinstance(store, UnreliableStore)
    store.failures["record"] = 2
    task, _ = bot.begin("hello", "tried")
    await bot.clock.advance(0.3)
    task.cancel()
    await asyncio.wait({task})

    assert (await assert_sound(bot))["tried"] == ("open", 1)

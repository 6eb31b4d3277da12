"""What is stored is shown, once, whenever the process or the platform fails in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from chat_parts import Bot, UnreliableStore, message

from botkit.chat.delivery import PLATFORM_BACK_OFF_S
from botkit.errors import StoreError, Undeliverable
from botkit.store.jobs import OpenMessage
from botkit.testing.scripted import RecordingReply
from botkit.types import Limits

LASTING = Limits(lasting=True)


async def crash(bot: Bot, task: asyncio.Task[object]) -> None:
    """End the exchange as a killed process would: nothing more is stored or shown for it."""
    task.cancel()
    await asyncio.wait({task})


async def resumed(bot: Bot, reply: RecordingReply) -> list[OpenMessage]:
    left = await bot.store.open_messages()
    for one in left:
        await bot.clock.run(bot.pipeline.resume(one, reply))
    return left


async def test_a_half_written_answer_is_finished_in_the_same_messages(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    reply = RecordingReply(bot.clock, LASTING)
    task = asyncio.create_task(bot.pipeline.receive(message("e1", "one two three"), reply))
    await bot.clock.advance(1.5)
    assert reply.text == "one"
    await crash(bot, task)

    later = RecordingReply(bot.clock, LASTING, messages=dict(reply.messages))
    (left,) = await resumed(bot, later)

    assert left.answer.receipts == ("r1",)
    assert later.messages == {"r1": "one two three"}
    assert later.of_kind("send") == []
    assert await bot.store.open_messages() == []


async def test_a_final_text_that_was_not_shown_is_shown_and_not_written_anew(bot: Bot) -> None:
    reply = RecordingReply(bot.clock, LASTING)
    reply.fail_next(1000)
    task = asyncio.create_task(bot.pipeline.receive(message("e1", "one two"), reply))
    await bot.clock.advance(1)
    await crash(bot, task)
    n_requests = len(bot.backend.requests)

    later = RecordingReply(bot.clock, LASTING)
    await resumed(bot, later)

    assert later.text == "one two"
    assert len(bot.backend.requests) == n_requests
    assert await bot.store.open_messages() == []
    stored = await bot.store.conversation(message("e1").conversation)
    assert stored is not None
    assert [turn.text for turn in stored.turns] == ["one two", "one two"]


async def test_a_platform_that_is_down_for_a_while_is_waited_for(bot: Bot) -> None:
    task, reply = bot.begin("hello")
    reply.fail_next(7)
    await bot.clock.run(task)

    assert reply.text == "hello"
    assert bot.observer.outcomes == ["answered"]


async def test_an_answer_to_a_platform_that_stays_down_is_left_to_the_next_start(bot: Bot) -> None:
    task, reply = bot.begin("hello")
    reply.fail_next(10_000)
    await bot.clock.run(task)

    assert bot.clock.monotonic() > sum(PLATFORM_BACK_OFF_S)
    later = RecordingReply(bot.clock)
    await resumed(bot, later)
    assert later.text == "hello"


async def test_a_stopped_answer_without_words_is_shown_as_stopped_after_a_crash(bot: Bot) -> None:
    bot.backend.chunk_s = 5
    task, reply = bot.begin("hello")
    await bot.clock.advance(1)
    reply.fail_next(1000)
    assert bot.pipeline.interrupt(message("x").conversation)
    await bot.clock.advance(1)
    await crash(bot, task)

    later = RecordingReply(bot.clock)
    await resumed(bot, later)
    assert later.text == "Stopped."


async def test_what_is_accepted_is_stored_before_it_is_answered(bot: Bot) -> None:
    bot.backend.gate.clear()
    replies = [RecordingReply(bot.clock) for _ in range(3)]
    for n, reply in enumerate(replies):
        await bot.pipeline.accept(message(f"e{n}", f"text {n}"), reply, cursor=str(n))

    assert await bot.store.cursor("web", "bot") == "2"
    assert [reply.calls for reply in replies] == [[], [], []]
    bot.backend.gate.set()
    await bot.clock.advance(10)
    assert [reply.text for reply in replies] == ["text 0", "text 1", "text 2"]


async def test_accepted_messages_of_one_conversation_are_answered_in_order_with_what_came_before(
    bot: Bot,
) -> None:
    bot.backend.chunk_s = 1
    replies = [RecordingReply(bot.clock) for _ in range(3)]
    for n, reply in enumerate(replies):
        await bot.pipeline.accept(message(f"e{n}", f"text {n}"), reply)
    await bot.clock.advance(60)

    assert [reply.text for reply in replies] == ["text 0", "text 1", "text 2"]
    said = [turn.text for turn in bot.backend.requests[-1].turns if turn.role != "system"]
    assert said == ["text 0", "text 0", "text 1", "text 1", "text 2"]


async def test_a_second_delivery_is_not_answered_again(bot: Bot) -> None:
    first, second = RecordingReply(bot.clock), RecordingReply(bot.clock)
    await bot.pipeline.accept(message("e1", "hello"), first)
    await bot.pipeline.accept(message("e1", "hello"), second)
    await bot.clock.advance(5)

    assert (first.text, second.text) == ("hello", "")


async def test_what_cannot_be_stored_must_not_be_confirmed(bot: Bot) -> None:
    assert isinstance(bot.store, UnreliableStore)
    bot.store.failures["append"] = 1

    with pytest.raises(StoreError):
        await bot.pipeline.accept(message("e1", "hello"), RecordingReply(bot.clock))


async def test_what_is_refused_is_told_and_may_be_confirmed(bot: Bot) -> None:
    reply = RecordingReply(bot.clock)
    await bot.pipeline.accept(message("e1", "   "), reply)
    await bot.clock.advance(1)

    assert reply.text == "The message is empty."


async def test_while_the_bot_stops_messages_are_stored_for_the_next_start(bot: Bot) -> None:
    await bot.clock.run(bot.pipeline.drain(1))
    reply = RecordingReply(bot.clock)
    await bot.pipeline.accept(message("late", "hello"), reply)

    assert reply.calls == []
    assert [one.message.text for one in await bot.store.open_messages()] == ["hello"]


async def test_closing_leaves_what_goes_on_in_the_background_open(bot: Bot) -> None:
    bot.backend.gate.clear()
    await bot.pipeline.accept(message("e1", "hello"), RecordingReply(bot.clock))
    await bot.clock.settle()
    await bot.pipeline.aclose()

    await bot.assert_idle()
    assert [one.message.text for one in await bot.store.open_messages()] == ["hello"]


async def test_an_undeliverable_answer_is_recorded_as_failed(bot: Bot) -> None:
    reply = RecordingReply(bot.clock, replace(LASTING, can_edit=False))
    reply.fail_next(1000, Undeliverable)

    assert await bot.clock.run(bot.pipeline.receive(message("e1", "hello"), reply)) == "failed"
    assert await bot.store.open_messages() == []


class MisbehavingReply(RecordingReply):
    """A reply of an adapter that raises what none may raise."""

    async def send(self, text: str, *, final: bool) -> str:
        raise KeyError("channel")


@pytest.mark.parametrize("limits", [Limits(), LASTING])
async def test_a_reply_that_misbehaves_costs_one_message_and_is_not_tried_for_ever(
    bot: Bot, limits: Limits
) -> None:
    reply = MisbehavingReply(bot.clock, limits)

    assert await bot.clock.run(bot.pipeline.receive(message("e1", "hello"), reply)) == "failed"
    assert await bot.store.open_messages() == []
    await bot.assert_idle()


async def test_a_reply_that_misbehaves_when_it_is_resumed_ends_there(bot: Bot) -> None:
    bot.backend.gate.clear()
    await bot.pipeline.accept(message("e1", "hello"), RecordingReply(bot.clock))
    await bot.clock.settle()
    await bot.pipeline.aclose()
    bot.backend.gate.set()

    await resumed(bot, MisbehavingReply(bot.clock))

    assert await bot.store.open_messages() == []

"""What adapters may ask of the core."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chat_parts import ANNA, BEN, ROOM, Bot, UnreliableStore, message, request

from botkit.chat.service import Chat
from botkit.errors import ModelError, StoreError, UnknownNameError
from botkit.testing.scripted import RecordingReply
from botkit.types import PromptTurn


@pytest.fixture
async def chat(bot: Bot, store: UnreliableStore) -> Chat:
    return Chat(
        settings=bot.settings,
        store=store,
        router=bot.router,
        pipeline=bot.pipeline,
        clock=bot.clock,
        render_metrics=lambda: b"metrics",
        other_parts=lambda: {"adapter web": "starting"},
    )


async def test_a_message_is_answered_and_its_outcome_returned(bot: Bot, chat: Chat) -> None:
    reply = RecordingReply(bot.clock)

    assert await bot.clock.run(chat.receive(message("1"), reply)) == "answered"
    assert await bot.clock.run(chat.receive(message("1"), reply)) is None
    assert await bot.clock.run(chat.receive(message("2", text=""), reply)) == "refused"
    assert reply.messages["r1"] == "hello there"


async def test_stop_ends_what_is_generated(bot: Bot, chat: Chat) -> None:
    bot.backend.chunk_s = 1
    task, reply = bot.begin("one two three")
    await bot.clock.advance(1)

    assert await chat.stop(message("other"))
    assert not await chat.stop(message("other", conversation=replace(ROOM, chat="elsewhere")))
    await bot.clock.run(task)
    assert reply.text == "one"


async def test_generating_without_a_conversation_stores_nothing(bot: Bot, chat: Chat) -> None:
    async with chat.submit(request(text="a b c")) as chunks:
        text = "".join([chunk.text async for chunk in chunks])

    assert text == "a b c"
    assert await bot.turns() == []
    assert await chat.count_tokens("scripted", [PromptTurn("user", "a b")]) == 4


async def test_conversations_are_their_owners(bot: Bot, chat: Chat) -> None:
    await bot.say("mine")
    await bot.say("theirs", sender=BEN, conversation=replace(ROOM, chat="other"))

    (only,) = await chat.conversations("web", "bot", ANNA.ref)
    assert only.title == "mine"
    found = await chat.conversation(ROOM)
    assert found is not None
    assert [turn.text for turn in found.turns] == ["mine", "mine"]
    assert await chat.conversation(message("9", conversation=ROOM)) == found
    assert await chat.conversation(replace(ROOM, chat="nowhere")) is None


async def test_a_model_is_chosen_for_a_conversation(bot: Bot, chat: Chat) -> None:
    await chat.choose_model(ROOM, "other")
    await bot.say("hello")

    assert bot.backend.requests[-1].model == "other"
    assert chat.models() == ["scripted", "other"]
    with pytest.raises(UnknownNameError):
        await chat.choose_model(ROOM, "none")


async def test_what_is_not_ready_is_named(bot: Bot, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await chat.ready() == {"adapter web": "starting"}

    bot.backend.start_error = ModelError("weights are truncated")
    await bot.say("hello")

    async def fail() -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(bot.store, "check", fail)
    assert await chat.ready() == {
        "adapter web": "starting",
        "database": "the disk is full",
        "model scripted": "weights are truncated",
    }
    assert [status.state for status in chat.backends()] == ["failed"]


async def test_settings_clock_and_metrics_are_handed_out(bot: Bot, chat: Chat) -> None:
    assert chat.settings is bot.settings
    assert chat.clock is bot.clock
    assert chat.metrics() == b"metrics"


async def test_draining_refuses_what_comes(bot: Bot, chat: Chat) -> None:
    await chat.drain(1)
    reply = RecordingReply(bot.clock)

    assert await bot.clock.run(chat.receive(message(), reply)) == "refused"
    assert reply.text.startswith("I am restarting.")

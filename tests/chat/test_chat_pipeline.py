"""The walk of one message, from the platform to the database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from chat_parts import ANNA, BEN, ROOM, Bot, UnreliableStore, message

from botkit.chat import commands
from botkit.chat.exchange import NOTHING_SAID
from botkit.chat.pipeline import CANCEL_GRACE_S
from botkit.errors import BackendDied, BadRequestError, BotkitError, ModelError, StoreError, Undeliverable
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import RecordingReply
from botkit.types import Chunk, GenerationRequest, Limits, Message

ELSEWHERE = replace(ROOM, chat="elsewhere")
ID = r"\(id [0-9a-f]{8}\)"


async def test_a_message_is_answered_and_both_are_stored(bot: Bot) -> None:
    reply = await bot.say("hello there")

    assert reply.text == "hello there"
    assert reply.final == {"r1"}
    assert await bot.turns() == [("user", "hello there"), ("assistant", "hello there")]
    assert bot.observer.outcomes == ["answered"]
    await bot.assert_idle()


async def test_the_request_holds_what_was_said_before_and_who_pays(bot: Bot) -> None:
    await bot.say("first")
    await bot.say("second", sender=BEN)
    request = bot.backend.requests[-1]

    assert [turn.text for turn in request.turns[1:]] == ["Anna: first", "first", "Ben: second"]
    assert request.turns[0].text == bot.settings.chat.persona
    assert (request.person, request.model) == ("web:ben", "scripted")
    assert request.sampling.top_k == bot.settings.sampling.top_k
    assert request.deadline_s == bot.settings.queue.deadline_s


async def test_the_answer_grows_on_the_platform(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    reply = await bot.say("one two three")

    assert [call.text for call in reply.calls] == ["one", "one two", "one two three", "one two three"]
    assert [call.final for call in reply.calls] == [False, False, False, True]
    assert bot.observer.first_chunks == [1.0]


async def test_usage_times_and_receipts_are_stored_with_the_answer(bot: Bot) -> None:
    bot.backend.chunk_s = 0.5
    recorded: list[dict[str, object]] = []
    record = bot.store.record

    async def watch(message_id: int, **values: object) -> object:
        recorded.append(values)
        return await record(message_id, **values)  # type: ignore[arg-type]

    bot.store.record = watch  # type: ignore[method-assign,assignment]
    await bot.say("one two", limits=Limits(max_units=5))

    values = recorded[0]
    completion = values["completion"]
    assert (values["outcome"], values["receipts"], values["attempt"]) == ("answered", ("r1", "r2"), 1)
    assert (completion.usage.completion_tokens, completion.finish) == (2, "stop")  # type: ignore[attr-defined]
    assert (completion.first_chunk_s, completion.total_s) == (0.5, 1.5)  # type: ignore[attr-defined]


async def test_an_event_that_comes_twice_is_answered_once(bot: Bot) -> None:
    first = await bot.say("hello", "7")
    second = await bot.say("hello", "7")

    assert first.text == "hello"
    assert second.calls == []
    assert len(bot.backend.requests) == 1


async def test_an_event_that_comes_twice_at_once_is_answered_once(bot: Bot) -> None:
    tasks = [bot.begin("hello", "7") for _ in range(3)]
    await bot.clock.run(asyncio.gather(*(task for task, _ in tasks)))

    assert sorted(reply.text for _, reply in tasks) == ["", "", "hello"]


async def test_messages_of_a_conversation_are_answered_in_order(bot: Bot) -> None:
    bot.backend.chunk_s = 0.1
    tasks = [bot.begin(f"word{n}") for n in range(5)]
    await bot.clock.run(asyncio.gather(*(task for task, _ in tasks)))

    assert [reply.text for _, reply in tasks] == [f"word{n}" for n in range(5)]
    assert await bot.turns() == [(role, f"word{n}") for n in range(5) for role in ("user", "assistant")]
    assert bot.backend.peak_running == 1


async def test_conversations_are_answered_beside_each_other(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    tasks = [bot.begin("a b c", conversation=replace(ROOM, chat=str(n))) for n in range(4)]
    await bot.clock.run(asyncio.gather(*(task for task, _ in tasks)))

    assert bot.backend.peak_running == 4
    assert bot.clock.monotonic() == 4.0


async def test_a_direct_message_is_not_part_of_another_chats_prompt(bot: Bot) -> None:
    await bot.say("my secret", private=True)
    await bot.say("what did I say?", conversation=ELSEWHERE)

    assert "my secret" not in str(bot.backend.requests[-1].turns)


async def test_only_messages_meant_for_the_bot_are_answered(bot: Bot) -> None:
    reply = await bot.say("hello all", addressed=False)

    assert reply.calls == []
    assert await bot.turns() == []


async def test_with_trigger_always_every_message_is_answered(
    clock: ManualClock, store: UnreliableStore
) -> None:
    bot = Bot(clock, store, chat={"trigger": "always"})

    assert (await bot.say("hello all", addressed=False)).text == "hello all"
    assert "/help" in (await bot.say("/help", addressed=False)).text
    assert (await bot.say("/play music", addressed=False)).calls == []
    assert (await bot.say("/help@other_bot", addressed=False)).calls == []
    assert "Unknown command '/play'" in (await bot.say("/play music")).text


@pytest.mark.parametrize("addressed", [True, False])
async def test_other_bots_are_not_answered(
    clock: ManualClock, store: UnreliableStore, addressed: bool
) -> None:
    bot = Bot(clock, store, chat={"trigger": "always"})
    reply = await bot.say("beep", sender=replace(ANNA, is_bot=True), addressed=addressed)

    assert reply.calls == []
    assert await bot.turns() == []


async def test_a_model_that_says_nothing_still_gets_a_visible_answer(bot: Bot) -> None:
    bot.backend._script = lambda request: []

    assert (await bot.say("hello")).text == NOTHING_SAID


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "The message is empty."),
        ("\x00\x1f", "The message is empty."),
        ("x" * 1_000_000, "65536 are the"),
    ],
)
async def test_a_message_that_cannot_be_read_is_refused_in_one_line(bot: Bot, text: str, shown: str) -> None:
    reply = await bot.say(text)

    assert shown in reply.text
    assert "\n" not in reply.text
    assert bot.observer.outcomes == ["refused"]
    assert await bot.turns() == []


async def test_control_characters_and_lone_surrogates_are_taken_out(bot: Bot) -> None:
    await bot.say("a\x1bb\ud800c")

    assert (await bot.turns())[0] == ("user", "ab\ufffdc")


async def test_stop_ends_the_running_answer_and_frees_the_slot(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    task, reply = bot.begin("one two three four")
    await bot.clock.advance(2)
    stop_reply = await bot.say("/stop")

    assert bot.clock.monotonic() == 2.0
    assert task.done()
    assert stop_reply.text == "Stopped."
    assert reply.text == "one two"
    assert await bot.turns() == [("user", "one two three four"), ("assistant", "one two")]
    assert sorted(bot.observer.outcomes) == ["cancelled", "command"]
    await bot.assert_idle()


async def test_stop_before_the_first_word_leaves_no_turn_of_ours(bot: Bot) -> None:
    bot.backend.gate.clear()
    task, reply = bot.begin("one two")
    await bot.clock.settle()
    await bot.say("/stop")

    assert task.done()
    assert reply.text == "Stopped."
    assert await bot.turns() == [("user", "one two")]


async def test_stop_works_while_the_message_waits_in_line(bot: Bot) -> None:
    bot.backend.slots = 1
    bot.backend.gate.clear()
    running, _ = bot.begin("hi", conversation=ELSEWHERE)
    await bot.clock.settle()
    waiting, reply = bot.begin("one two")
    await bot.clock.settle()
    assert [place.before for place in reply.places] == [0]
    await bot.say("/stop")

    assert waiting.done()
    assert reply.text == "Stopped."
    bot.backend.gate.set()
    await bot.clock.run(running)
    await bot.assert_idle()


async def test_a_repeated_stop_does_not_stop_the_next_answer(bot: Bot) -> None:
    await bot.say("/stop", "7")
    bot.backend.chunk_s = 1
    task, reply = bot.begin("one two")
    await bot.clock.advance(1)
    await bot.say("/stop", "7")
    await bot.clock.run(task)

    assert reply.text == "one two"


async def test_stop_of_another_conversation_does_nothing_here(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    task, reply = bot.begin("one two")
    await bot.clock.advance(1)

    assert (await bot.say("/stop", conversation=ELSEWHERE)).text == "There is nothing to stop."
    await bot.clock.run(task)
    assert reply.text == "one two"


async def test_a_stop_after_the_last_word_does_not_make_it_cancelled(bot: Bot) -> None:
    task, reply = bot.begin("one two")
    reply.call_s = 5
    await bot.clock.advance(1)
    await bot.say("/stop")
    await bot.clock.run(task)

    assert reply.text == "one two"
    assert "answered" in bot.observer.outcomes


async def test_regenerate_replaces_the_last_answer(bot: Bot) -> None:
    await bot.say("first")
    await bot.say("hello")
    bot.backend._script = lambda request: ["better"]
    reply = await bot.say("/regenerate")

    assert reply.text == "better"
    assert await bot.turns() == [
        ("user", "first"),
        ("assistant", "first"),
        ("user", "hello"),
        ("assistant", "better"),
    ]
    assert bot.backend.requests[-1].turns[-1].text == "hello"
    assert await bot.store.open_messages() == []


async def test_there_may_be_nothing_to_regenerate(bot: Bot) -> None:
    assert (await bot.say("/regenerate")).text == "There is no answer to write anew."


async def test_reset_begins_anew(bot: Bot) -> None:
    await bot.say("hello")
    assert "anew" in (await bot.say("/reset")).text
    await bot.say("bye")

    assert [turn.text for turn in bot.backend.requests[-1].turns[1:]] == ["bye"]
    assert await bot.turns() == [("user", "bye"), ("assistant", "bye")]


async def test_commands_and_their_answers_are_never_part_of_a_prompt(bot: Bot) -> None:
    await bot.say("/help")
    await bot.say("/hlep")
    await bot.say("hello")

    assert [turn.text for turn in bot.backend.requests[-1].turns[1:]] == ["hello"]
    assert bot.observer.outcomes == ["command", "command", "answered"]
    assert await bot.store.open_messages() == []


async def test_model_changes_the_model_of_this_conversation(bot: Bot) -> None:
    assert (await bot.say("/model other")).text == "From now on I use other here."
    await bot.say("hello")
    await bot.say("hello", conversation=ELSEWHERE)

    assert [request.model for request in bot.backend.requests] == ["other", "scripted"]
    assert (await bot.say("/model")).text == "I use other here. Others: scripted."
    assert "Unknown model 'othr' (did you mean 'other'?)" in (await bot.say("/model othr")).text


async def test_a_model_that_is_gone_is_told_by_name(bot: Bot) -> None:
    await bot.say("/model other")
    bot.router._names = lambda: ["scripted"]
    reply = await bot.say("hello")

    assert "Unknown model 'other'" in reply.text
    assert bot.observer.outcomes[-1] == "refused"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (BackendDied("gone"), BackendDied.public),
        (BotkitError("odd"), BotkitError.public),
        (KeyError("a secret"), BotkitError.public),
    ],
)
async def test_a_failure_becomes_a_short_text_with_an_id(bot: Bot, error: Exception, shown: str) -> None:
    bot.backend.fail_after(0, error)
    reply = await bot.say("hello")

    assert re.fullmatch(rf"{re.escape(shown)} {ID}", reply.text)
    assert "secret" not in reply.text
    assert bot.observer.outcomes == ["failed"]
    assert await bot.store.open_messages() == []
    await bot.assert_idle()


async def test_a_model_that_dies_in_mid_stream_keeps_what_was_shown(bot: Bot) -> None:
    bot.backend.fail_after(2, BackendDied("gone"))
    reply = await bot.say("one two three")

    assert re.fullmatch(rf"one two\n\n{re.escape(BackendDied.public)} {ID}", reply.text)
    assert bot.observer.outcomes == ["failed"]
    await bot.say("again")
    assert [turn.text for turn in bot.backend.requests[-1].turns[1:]] == ["one two three\nagain"]
    assert bot.observer.outcomes == ["failed", "answered"]


async def test_a_stream_that_ends_without_a_finish_is_a_failure(bot: Bot) -> None:
    async def chunks_of(request: GenerationRequest) -> list[Chunk]:
        return [Chunk(request.id, "half")]

    bot.backend.chunks_of = chunks_of  # type: ignore[method-assign]
    reply = await bot.say("hello")

    assert re.fullmatch(rf"half\n\n{re.escape(BackendDied.public)} {ID}", reply.text)
    assert bot.observer.outcomes == ["failed"]


async def test_a_model_that_cannot_start_is_told(bot: Bot) -> None:
    bot.backend.start_error = ModelError("weights are truncated")
    reply = await bot.say("hello")

    assert re.fullmatch(rf"{re.escape(ModelError.public)} {ID}", reply.text)
    assert bot.observer.outcomes == ["failed"]


async def test_a_full_line_is_told_as_busy(clock: ManualClock, store: UnreliableStore) -> None:
    bot = Bot(clock, store, queue={"max_waiting_per_person": 1})
    bot.backend.slots = 1
    bot.backend.chunk_s = 1
    tasks = [bot.begin("a b", conversation=replace(ROOM, chat=str(n))) for n in range(3)]
    await clock.run(asyncio.gather(*(task for task, _ in tasks)))

    assert sorted(reply.text for _, reply in tasks) == [
        "I am busy. Please try again in a moment.",
        "a b",
        "a b",
    ]
    assert sorted(bot.observer.outcomes) == ["answered", "answered", "refused"]
    assert await store.open_messages() == []


async def test_who_waited_too_long_is_told_and_forgotten_by_the_line(
    clock: ManualClock, store: UnreliableStore
) -> None:
    bot = Bot(clock, store, queue={"deadline_s": 5})
    bot.backend.slots = 1
    bot.backend.gate.clear()
    running, _ = bot.begin("hi", conversation=ELSEWHERE)
    await clock.settle()
    reply = await bot.say("hello")

    assert reply.text == "That took too long, so I stopped."
    assert bot.observer.outcomes == ["refused"]
    bot.backend.gate.set()
    await clock.run(running)


async def test_a_conversation_with_too_many_waiting_is_told(bot: Bot) -> None:
    bot.backend.gate.clear()
    tasks = [bot.begin(f"word{n}") for n in range(40)]
    await bot.clock.settle()
    busy = [reply.text for task, reply in tasks if task.done()]
    bot.backend.gate.set()
    await bot.clock.run(asyncio.gather(*(task for task, _ in tasks)))

    assert busy == ["I am busy. Please try again in a moment."] * 7
    assert len(await bot.turns()) == 2 * 33
    await bot.assert_idle()


async def test_without_a_store_nothing_is_answered_and_the_person_is_told(
    bot: Bot, store: UnreliableStore
) -> None:
    store.failures["append"] = 1
    reply = await bot.say("hello", "7")

    assert re.fullmatch(rf"{re.escape(StoreError.public)} {ID}", reply.text)
    assert bot.backend.requests == []
    assert (await bot.say("hello", "7")).text == "hello"  # the platform delivers it again


async def test_recording_is_tried_again(bot: Bot, store: UnreliableStore) -> None:
    store.failures["record"] = 3
    await bot.say("hello")

    assert await bot.turns() == [("user", "hello"), ("assistant", "hello")]
    assert await store.open_messages() == []


async def test_what_cannot_be_recorded_stays_open_and_the_bot_goes_on(
    bot: Bot, store: UnreliableStore
) -> None:
    store.failures["record"] = 4
    reply = await bot.say("hello")

    assert reply.text == "hello"
    assert [one.message.text for one in await store.open_messages()] == ["hello"]
    assert (await bot.say("bye", conversation=ELSEWHERE)).text == "bye"


async def test_an_answer_that_can_never_be_delivered_costs_one_message(bot: Bot) -> None:
    task, reply = bot.begin("one two three")
    reply.fail_next(1000, Undeliverable)
    await bot.clock.run(task)

    assert bot.observer.outcomes == ["failed"]
    assert await bot.store.open_messages() == []
    await bot.assert_idle()
    assert (await bot.say("hello", conversation=ELSEWHERE)).text == "hello"


class Refusing:
    """A filter that refuses what contains a word, on both ways."""

    name, order = "refusing", 0

    async def admit(self, message: Message) -> Message:
        if "bad" in message.text:
            refusal = BadRequestError("a bad word")
            refusal.public = "That is not said here."
            raise refusal
        if "broken" in message.text:
            raise KeyError("oops")
        return replace(message, text=message.text.replace("colour", "color"))

    async def refine(self, request: GenerationRequest, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        async for chunk in chunks:
            if "enough" in chunk.text:
                yield Chunk(request.id, finish="stop")
                return
            yield chunk


async def test_filters_change_refuse_and_cut_short(clock: ManualClock, store: UnreliableStore) -> None:
    bot = Bot(clock, store, filters=[Refusing()])

    assert (await bot.say("my colour")).text == "my color"
    assert (await bot.say("a b enough c d")).text == "a b"
    assert bot.backend.n_cancelled == 1
    assert (await bot.say("bad")).text == "That is not said here."
    assert re.fullmatch(rf"{re.escape(BotkitError.public)} {ID}", (await bot.say("broken")).text)
    assert [text for role, text in await bot.turns() if role == "user"] == ["my color", "a b enough c d"]
    await bot.assert_idle()


async def test_a_message_left_open_by_a_crash_is_answered_by_the_next_process(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    crashed, _ = bot.begin("one two three")
    await bot.clock.advance(2)
    crashed.cancel()
    await asyncio.wait({crashed})
    bot.start()
    (left,) = await bot.store.open_messages()
    reply = RecordingReply(bot.clock)
    await bot.clock.run(bot.pipeline.resume(left, reply))

    assert left.attempt == 2
    assert reply.text == "one two three"
    assert await bot.turns() == [("user", "one two three"), ("assistant", "one two three")]
    assert await bot.store.open_messages() == []
    await bot.assert_idle()


async def test_open_messages_of_a_conversation_are_resumed_in_order(bot: Bot) -> None:
    for n in range(3):
        await bot.store.append(message(f"m{n}", f"word{n}"))
    bot.backend.chunk_s = 1
    resumed = [
        (bot.pipeline.resume(left, reply), reply)
        for left in await bot.store.open_messages()
        for reply in [RecordingReply(bot.clock)]
    ]
    await bot.clock.run(asyncio.gather(*(work for work, _ in resumed)))

    assert [reply.text for _, reply in resumed] == ["word0", "word1", "word2"]
    assert await bot.turns() == [(role, f"word{n}") for n in range(3) for role in ("user", "assistant")]


async def test_a_command_left_open_is_obeyed_by_the_next_process(bot: Bot) -> None:
    await bot.store.append(message("m", "/model other"))
    (left,) = await bot.store.open_messages()
    reply = RecordingReply(bot.clock)
    await bot.clock.run(bot.pipeline.resume(left, reply))

    assert reply.text == "From now on I use other here."
    assert await bot.store.open_messages() == []


async def test_a_message_that_was_begun_too_often_is_given_up(bot: Bot) -> None:
    await bot.store.append(message("m", "hello"))
    for _ in range(5):
        (left,) = await bot.store.open_messages()
    reply = RecordingReply(bot.clock)
    await bot.clock.run(bot.pipeline.resume(left, reply))

    assert left.attempt == 6
    assert re.fullmatch(rf"{re.escape(BotkitError.public)} {ID}", reply.text)
    assert bot.backend.requests == []
    assert await bot.store.open_messages() == []


async def test_the_record_of_an_attempt_that_was_overtaken_changes_nothing(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    slow, _ = bot.begin("one two three")
    await bot.clock.advance(1)
    (left,) = await bot.store.open_messages()  # another process took it over
    await bot.store.record(left.message_id, outcome="answered", text="theirs", attempt=left.attempt)
    await bot.clock.run(slow)

    assert await bot.turns() == [("user", "one two three"), ("assistant", "theirs")]


async def test_draining_lets_replies_finish(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    task, reply = bot.begin("one two three")
    await bot.clock.advance(1)
    await bot.clock.run(bot.pipeline.drain(10))

    assert task.done()
    assert reply.text == "one two three"
    assert bot.clock.monotonic() == 4.0


async def test_draining_cancels_what_takes_too_long_and_leaves_what_waits_to_the_next_start(bot: Bot) -> None:
    bot.backend.chunk_s = 1
    tasks = [bot.begin("one two three four") for _ in range(3)]
    await bot.clock.advance(1)
    await bot.clock.run(bot.pipeline.drain(1.5))

    assert all(task.done() for task, _ in tasks)
    texts = [reply.text for _, reply in tasks]
    assert texts == ["one two", "", ""]
    assert bot.clock.monotonic() == 2.5
    assert bot.observer.outcomes == ["cancelled"]
    assert len(await bot.store.open_messages()) == 2
    assert (await bot.say("hello")).text.startswith("I am restarting.")


async def test_draining_gives_up_on_a_platform_that_hangs(bot: Bot) -> None:
    task, reply = bot.begin("one two three")
    reply.call_s = 10_000
    await bot.clock.settle()
    begun_s = bot.clock.monotonic()
    await bot.clock.run(bot.pipeline.drain(1))

    assert bot.clock.monotonic() - begun_s == 1 + CANCEL_GRACE_S
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})
    assert [one.message.text for one in await bot.store.open_messages()] == ["one two three"]


async def test_draining_with_nothing_to_do_returns_at_once(bot: Bot) -> None:
    await bot.clock.run(bot.pipeline.drain(10))

    assert bot.clock.monotonic() == 0.0


@pytest.mark.parametrize("scope", ["auto", "chat", "thread", "member", "reply"])
async def test_every_scope_answers(clock: ManualClock, store: UnreliableStore, scope: str) -> None:
    bot = Bot(clock, store, chat={"scope": scope})

    assert (await bot.say("hello")).text == "hello"
    await bot.say("hello again", sender=BEN)
    n_turns = len(bot.backend.requests[-1].turns) - 1
    assert n_turns == (1 if scope in ("member", "reply") else 3)


async def test_a_person_is_told_what_is_kept_and_can_have_it_forgotten(bot: Bot) -> None:
    await bot.say("hello")
    await bot.say("from ben", sender=BEN)

    assert "encrypted" in (await bot.say("/privacy")).text
    assert (await bot.say("/mydata")).text.startswith("I keep 3 messages of yours and 2 answers")
    assert "/forget everything" in (await bot.say("/forget")).text
    assert "2 messages" not in (await bot.say("/forget please")).text
    assert (await bot.say("/forget everything")).text.startswith("I have forgotten all")

    assert (await bot.say("/mydata")).text.startswith("I keep 1 messages of yours and 0 answers")
    assert [role for role, _ in await bot.turns()] == ["user", "assistant"]
    await bot.assert_idle()


def test_every_command_is_in_the_menu() -> None:
    assert [one.name for one in commands.MENU] == [one.name for one in commands.COMMANDS]
    assert all(one.summary and len(one.name) <= 32 for one in commands.MENU)

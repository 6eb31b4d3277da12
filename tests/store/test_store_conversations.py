"""What the chat may rely on, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import select
from store_samples import ANNA, ROOM, message

from botkit.errors import BadRequestError, StoreError
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.people import forget_key
from botkit.store.schema import MessageRow
from botkit.types import Completion, Conversation, ConversationKey, Person, Usage

BEN = Person("discord", "2", "Ben")


def texts(conversation: Conversation | None) -> list[str]:
    assert conversation is not None
    return [turn.text for turn in conversation.turns]


async def exchange(store: ConversationStore, event_id: str, question: str, answer: str) -> int:
    stored = await store.append(message(event_id, question))
    await store.record(stored.message_id, outcome="answered", text=answer)
    return stored.message_id


async def test_a_message_is_the_last_turn_of_its_conversation(store: ConversationStore) -> None:
    stored = await store.append(message("e1", "hello"))

    assert stored.is_new
    assert stored.conversation.key == ROOM
    assert stored.conversation.title == "hello"
    (turn,) = stored.conversation.turns
    assert (turn.id, turn.role, turn.text, turn.speaker) == (stored.message_id, "user", "hello", "Anna")
    assert turn.at == message("e1").sent_at


async def test_an_answer_becomes_a_turn(store: ConversationStore) -> None:
    stored = await store.append(message("e1", "hello"))
    answered = await store.record(stored.message_id, outcome="answered", text="hi", receipts=("r1", "r2"))
    next_one = await store.append(message("e2", "how are you?"))

    assert [(turn.role, turn.text) for turn in next_one.conversation.turns] == [
        ("user", "hello"),
        ("assistant", "hi"),
        ("user", "how are you?"),
    ]
    assert answered == next_one.conversation.turns[1]


async def test_a_message_delivered_twice_is_stored_once(store: ConversationStore) -> None:
    first = await store.append(message("e1", "hello"))
    again = await store.append(message("e1", "hello"))

    assert (again.is_new, again.message_id) == (False, first.message_id)
    assert texts(await store.conversation(ROOM)) == ["hello"]


async def test_of_many_simultaneous_deliveries_one_is_new(store: ConversationStore) -> None:
    stored = await asyncio.gather(*(store.append(message("e1")) for _ in range(20)))

    assert sum(one.is_new for one in stored) == 1
    assert len({one.message_id for one in stored}) == 1


async def test_the_same_event_id_of_another_bot_is_another_message(store: ConversationStore) -> None:
    first = await store.append(message("e1"))
    other = await store.append(message("e1", key=replace(ROOM, bot="other")))

    assert other.is_new
    assert other.conversation.id != first.conversation.id


async def test_conversations_do_not_see_each_other(store: ConversationStore) -> None:
    keys = [ROOM, replace(ROOM, thread="t"), replace(ROOM, chat="c"), replace(ROOM, platform="telegram")]
    for n, key in enumerate(keys):
        await store.append(message(f"e{n}", f"text {n}", key))

    for n, key in enumerate(keys):
        assert texts(await store.conversation(key)) == [f"text {n}"]


async def test_what_was_measured_is_kept_with_the_answer(
    store: ConversationStore, database: Database
) -> None:
    stored = await store.append(message("e1"))
    done = Completion("hi", "length", "smollm", Usage(10, 5, 3), 0.25, 1.5)
    await store.record(stored.message_id, outcome="answered", text="hi", completion=done, receipts=("r1",))

    def read(session):
        row = session.execute(select(MessageRow).where(MessageRow.role == "assistant")).scalar_one()
        return (row.model, row.finish, row.prompt_tokens, row.completion_tokens, row.cached_tokens), (
            row.first_chunk_s,
            row.total_s,
            row.receipts,
        )

    assert await database.run(read) == (("smollm", "length", 10, 5, 3), (0.25, 1.5, ["r1"]))


async def test_the_first_outcome_stands(store: ConversationStore) -> None:
    stored = await store.append(message("e1"))
    first = await store.record(stored.message_id, outcome="answered", text="one")
    second = await store.record(stored.message_id, outcome="failed", text="two")

    assert second == first
    assert texts(await store.conversation(ROOM)) == ["hello", "one"]


async def test_of_two_simultaneous_outcomes_one_stands(store: ConversationStore) -> None:
    stored = await store.append(message("e1"))
    turns = await asyncio.gather(
        *(store.record(stored.message_id, outcome="answered", text=f"answer {n}") for n in range(8))
    )

    assert len({turn.text for turn in turns}) == 1
    assert len(texts(await store.conversation(ROOM))) == 2


async def test_an_overtaken_attempt_changes_nothing(store: ConversationStore) -> None:
    stored = await store.append(message("e1"))
    await store.record(stored.message_id, outcome="answered", text="old")
    again = await store.reopen_last(ROOM)
    assert again is not None

    with pytest.raises(StoreError, match="answered anew"):
        await store.record(stored.message_id, outcome="answered", text="late", attempt=stored.attempt)
    await store.record(stored.message_id, outcome="answered", text="new", attempt=again.attempt)

    assert texts(await store.conversation(ROOM)) == ["hello", "new"]


async def test_an_outcome_for_no_message_is_one_line(store: ConversationStore) -> None:
    with pytest.raises(StoreError, match="no message 99"):
        await store.record(99, outcome="answered", text="x")
    with pytest.raises(StoreError, match="no message 99"):
        await store.history(99)


async def test_refusals_and_notices_of_failure_are_no_turns(store: ConversationStore) -> None:
    refused = await store.append(message("e1", "bad"))
    await store.record(refused.message_id, outcome="refused", text="no")
    failed = await store.append(message("e2", "asked"))
    await store.record(failed.message_id, outcome="failed", text="something went wrong")
    cut = await store.append(message("e3", "tell me"))
    await store.record(cut.message_id, outcome="cancelled", text="once upon")
    silent = await store.append(message("e4", "and?"))
    await store.record(silent.message_id, outcome="cancelled", text="")

    assert texts(await store.conversation(ROOM)) == ["asked", "tell me", "once upon", "and?"]


async def test_open_messages_come_back_whole_and_oldest_first(store: ConversationStore) -> None:
    sent = [message(f"e{n}", f"text {n}", sender=BEN if n % 2 else ANNA, reply_to="r") for n in range(5)]
    stored = [await store.append(one) for one in sent]
    await store.record(stored[2].message_id, outcome="answered", text="done")

    waiting = await store.open_messages()

    assert [one.message for one in waiting] == [sent[0], sent[1], sent[3], sent[4]]
    assert [one.message_id for one in waiting] == [stored[n].message_id for n in (0, 1, 3, 4)]


async def test_each_return_of_an_open_message_is_another_attempt(store: ConversationStore) -> None:
    await store.append(message("e1"))

    attempts = [(await store.open_messages())[0].attempt for _ in range(3)]

    assert attempts == [2, 3, 4]


async def test_history_ends_with_the_message_however_much_was_said_since(store: ConversationStore) -> None:
    first = await store.append(message("e1", "one"))
    second = await store.append(message("e2", "two"))
    await store.append(message("e3", "three"))
    await store.record(first.message_id, outcome="answered", text="answer one")

    assert texts(await store.history(second.message_id)) == ["one", "answer one", "two"]


async def test_answers_that_overlap_stand_behind_their_messages(store: ConversationStore) -> None:
    first = await store.append(message("e1", "one"))
    second = await store.append(message("e2", "two"))
    await store.record(second.message_id, outcome="answered", text="answer two")
    await store.record(first.message_id, outcome="answered", text="answer one")

    assert texts(await store.conversation(ROOM)) == ["one", "answer one", "two", "answer two"]


async def test_turns_are_capped_from_the_oldest_on(store: ConversationStore) -> None:
    for n in range(6):
        await exchange(store, f"e{n}", f"q{n}", f"a{n}")

    last = await store.append(message("e9", "last"), max_turns=4)

    assert texts(last.conversation) == ["a4", "q5", "a5", "last"]
    assert texts(await store.conversation(ROOM, max_turns=2)) == ["a5", "last"]


async def test_reset_starts_empty_and_keeps_the_rows(store: ConversationStore, database: Database) -> None:
    await exchange(store, "e1", "old", "old answer")
    await store.reset(ROOM)
    after = await store.append(message("e2", "new"))

    assert texts(after.conversation) == ["new"]
    n_rows = await database.run(lambda session: len(session.execute(select(MessageRow.id)).all()))
    assert n_rows == 3


async def test_an_answer_under_way_when_the_conversation_was_reset_is_no_turn(
    store: ConversationStore,
) -> None:
    stored = await store.append(message("e1", "old"))
    await store.reset(ROOM)
    await store.record(stored.message_id, outcome="answered", text="late")

    assert texts(await store.conversation(ROOM)) == []
    assert await store.reopen_last(ROOM) is None


async def test_reset_of_what_does_not_exist_does_nothing(store: ConversationStore) -> None:
    await store.reset(ROOM)

    assert await store.conversation(ROOM) is None


async def test_regenerating_supersedes_the_last_answer(store: ConversationStore) -> None:
    await exchange(store, "e1", "q1", "a1")
    message_id = await exchange(store, "e2", "q2", "a2")

    again = await store.reopen_last(ROOM)

    assert again is not None
    assert (again.message_id, again.attempt) == (message_id, 2)
    assert texts(again.conversation) == ["q1", "a1", "q2"]
    assert [one.message_id for one in await store.open_messages()] == [message_id]
    await store.record(message_id, outcome="answered", text="better")
    assert texts(await store.conversation(ROOM)) == ["q1", "a1", "q2", "better"]


async def test_nothing_to_regenerate(store: ConversationStore) -> None:
    assert await store.reopen_last(ROOM) is None
    await store.append(message("e1"))
    assert await store.reopen_last(ROOM) is None


async def test_the_model_of_a_conversation_can_be_chosen_before_the_first_word(
    store: ConversationStore,
) -> None:
    await store.choose_model(ROOM, "smollm")
    stored = await store.append(message("e1", "hello"))

    assert (stored.conversation.model, stored.conversation.title) == ("smollm", "hello")
    await store.choose_model(ROOM, None)
    found = await store.conversation(ROOM)
    assert found is not None
    assert found.model is None


async def test_a_person_lists_their_own_conversations_newest_first(store: ConversationStore) -> None:
    for n in range(3):
        await store.append(message(f"e{n}", f"talk  {n}\nmore", replace(ROOM, chat=f"c{n}")))
    await store.append(message("e8", "theirs", replace(ROOM, chat="c8"), sender=BEN))
    await store.append(message("e9", "again", replace(ROOM, chat="c0")))

    mine = await store.conversations("discord", "bot", ANNA.ref)

    assert [one.title for one in mine] == ["talk 0 more", "talk 2 more", "talk 1 more"]
    assert all(one.turns == () and isinstance(one.updated_at, datetime) for one in mine)
    assert len(await store.conversations("discord", "bot", ANNA.ref, limit=2)) == 2
    assert await store.conversations("discord", "other", ANNA.ref) == []


async def test_the_newest_name_is_the_speaker(store: ConversationStore) -> None:
    await store.append(message("e1"))
    stored = await store.append(message("e2", sender=replace(ANNA, name="Anne")))

    assert {turn.speaker for turn in stored.conversation.turns} == {"Anne"}


async def test_somebody_without_a_name_goes_by_their_id(store: ConversationStore) -> None:
    stored = await store.append(message("e1", sender=replace(ANNA, name="")))

    assert stored.conversation.turns[0].speaker == ANNA.id


@pytest.mark.parametrize(
    "text", ["", "\x00", "a\x00b", "\ud800 half", "\U0001f468‍\U0001f469", "x" * 1_000_000, "\x1b[31m"]
)
async def test_any_text_is_kept_as_it_is(store: ConversationStore, text: str) -> None:
    stored = await store.append(message("e1", text, sender=replace(ANNA, name="\x00\udfff")))
    await store.record(stored.message_id, outcome="answered", text=text + "!")

    assert texts(await store.conversation(ROOM)) == [text, text + "!"]


@pytest.mark.parametrize(
    "odd",
    [
        message("e\x00"),
        message("e\ud800"),
        message("e" * 256),
        message("e", key=replace(ROOM, chat="\x00")),
        message("e", key=ConversationKey("p" * 65, "b", "c")),
        message("e", sender=replace(ANNA, id="\udfff")),
        message("e", reply_to="\x00"),
    ],
)
async def test_ids_that_cannot_be_are_refused_in_one_line(store: ConversationStore, odd) -> None:
    with pytest.raises(BadRequestError, match=r"the message.s .* id"):
        await store.append(odd)

    assert await store.open_messages() == []


async def test_the_cursor_is_saved_with_the_message(store: ConversationStore) -> None:
    assert await store.cursor("discord", "bot") is None
    await store.append(message("e1"), cursor="41")
    await store.append(message("e2"), cursor="42")
    await store.append(message("e3"))

    assert await store.cursor("discord", "bot") == "42"
    assert await store.cursor("discord", "other") is None


async def test_forgetting_takes_words_answers_name_and_open_work(
    store: ConversationStore, database: Database
) -> None:
    await exchange(store, "e1", "mine", "for you")
    await store.append(message("e2", "waiting"))
    await store.append(message("e3", "theirs", sender=BEN))

    assert await database.run(lambda session: forget_key(session, "discord", ANNA.id))

    assert texts(await store.conversation(ROOM)) == ["theirs"]
    assert [one.message.event_id for one in await store.open_messages()] == ["e3"]
    assert not await database.run(lambda session: forget_key(session, "discord", ANNA.id))
    assert not await database.run(lambda session: forget_key(session, "discord", "nobody"))


async def test_somebody_forgotten_may_come_back_as_new(store: ConversationStore, database: Database) -> None:
    stored = await store.append(message("e1", "before"))
    await database.run(lambda session: forget_key(session, "discord", ANNA.id))
    after = await store.append(message("e2", "after"))

    assert [(turn.text, turn.speaker) for turn in after.conversation.turns] == [("after", "Anna")]
    with pytest.raises(StoreError, match="forgotten"):
        await store.record(stored.message_id, outcome="answered", text="late")


async def test_a_sound_store_passes_its_check(store: ConversationStore) -> None:
    await store.check()
    await store.append(message("e1"))
    await store.check()


async def test_a_time_without_a_zone_is_refused(store: ConversationStore) -> None:
    naive = replace(message("e1"), sent_at=datetime(2026, 1, 1))

    with pytest.raises(StoreError):
        await store.append(naive)
    assert await store.open_messages() == []

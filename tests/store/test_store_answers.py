"""What of an answer is known before its message has its outcome, on both databases."""

from __future__ import annotations

import pytest
from store_samples import ROOM, message

from botkit.errors import StoreError
from botkit.store.answers import NOTHING, Underway
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.people import forget_key
from botkit.types import Completion, Usage


async def stored(store: ConversationStore, event_id: str = "e1") -> int:
    return (await store.append(message(event_id, "hello"))).message_id


async def test_receipts_are_found_again_by_the_next_process(store: ConversationStore) -> None:
    message_id = await stored(store)
    assert await store.keep(message_id, attempt=1, receipts=("r1",))
    assert await store.keep(message_id, attempt=1, receipts=("r1", "r2"))

    (left,) = await store.open_messages()

    assert left.answer == Underway(("r1", "r2"))
    assert left.attempt == 2


async def test_a_message_of_which_nothing_is_known_has_no_answer_underway(store: ConversationStore) -> None:
    await stored(store)

    (left,) = await store.open_messages()

    assert left.answer is NOTHING


async def test_a_final_text_is_found_again_with_its_outcome(store: ConversationStore) -> None:
    message_id = await stored(store)
    await store.keep(message_id, attempt=1, receipts=("r1",))
    await store.keep(message_id, attempt=1, receipts=("r1",), text="hi", outcome="answered")

    (left,) = await store.open_messages()

    assert left.answer == Underway(("r1",), "hi", "answered")


async def test_an_answer_that_is_kept_and_recorded_is_one_turn(store: ConversationStore) -> None:
    message_id = await stored(store)
    completion = Completion("hi", "stop", "m", Usage(3, 1))
    await store.keep(message_id, attempt=1, text="hi", outcome="answered", completion=completion)
    turn = await store.record(
        message_id, outcome="answered", text="hi", receipts=("r1",), completion=completion, attempt=1
    )

    conversation = await store.conversation(ROOM)
    assert conversation is not None
    assert [one.text for one in conversation.turns] == ["hello", "hi"]
    assert conversation.turns[-1].id == turn.id
    assert await store.open_messages() == []


async def test_the_answer_of_an_earlier_attempt_is_set_aside(store: ConversationStore) -> None:
    message_id = await stored(store)
    await store.keep(message_id, attempt=1, receipts=("r1",), text="first", outcome="answered")
    (left,) = await store.open_messages()
    await store.record(message_id, outcome="answered", text="first", attempt=left.attempt)

    conversation = await store.conversation(ROOM)
    assert conversation is not None
    assert [one.text for one in conversation.turns] == ["hello", "first"]


async def test_an_attempt_that_was_overtaken_stores_nothing(store: ConversationStore) -> None:
    message_id = await stored(store)
    await store.open_messages()

    assert not await store.keep(message_id, attempt=1, text="late", outcome="answered")
    (left,) = await store.open_messages()
    assert left.answer is NOTHING


async def test_nothing_is_kept_for_a_message_with_an_outcome_or_none_at_all(store: ConversationStore) -> None:
    message_id = await stored(store)
    await store.record(message_id, outcome="cancelled", text="")

    assert not await store.keep(message_id, attempt=1, text="late", outcome="answered")
    assert not await store.keep(10_000, attempt=1)


async def test_an_unfinished_answer_is_no_turn_of_the_next_prompt(store: ConversationStore) -> None:
    message_id = await stored(store)
    await store.keep(message_id, attempt=1, receipts=("r1",))

    later = await store.append(message("e2", "are you there?"))

    assert [one.text for one in later.conversation.turns] == ["hello", "are you there?"]


async def test_an_answer_is_a_turn_once_it_was_seen_and_not_before(store: ConversationStore) -> None:
    message_id = await stored(store)
    await store.keep(message_id, attempt=1, text="hi", outcome="answered")
    before = await store.conversation(ROOM)
    await store.record(message_id, outcome="answered", text="hi", attempt=1)
    after = await store.conversation(ROOM)

    assert before is not None
    assert after is not None
    assert [one.text for one in before.turns] == ["hello"]
    assert [one.text for one in after.turns] == ["hello", "hi"]


async def test_only_the_platforms_that_were_asked_for_are_taken_up(store: ConversationStore) -> None:
    await stored(store)

    assert await store.open_messages({"elsewhere"}) == []
    (left,) = await store.open_messages({ROOM.platform, "elsewhere"})
    assert left.attempt == 2


async def test_what_somebody_forgotten_was_told_is_gone(store: ConversationStore, database: Database) -> None:
    message_id = await stored(store)
    await store.keep(message_id, attempt=1, text="hi", outcome="answered")
    await database.run(lambda session: forget_key(session, "discord", "1"))

    assert await store.open_messages() == []
    with pytest.raises(StoreError):
        await store.record(message_id, outcome="answered", text="hi", attempt=1)


async def test_a_cursor_is_saved_without_a_message(store: ConversationStore) -> None:
    await store.save_cursor("telegram", "bot", "5")
    await store.save_cursor("telegram", "bot", "7")

    assert await store.cursor("telegram", "bot") == "7"

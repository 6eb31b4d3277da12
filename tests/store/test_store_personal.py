"""What is kept of a person can be told, written out and forgotten, on both databases."""

from __future__ import annotations

from store_samples import ANNA, ROOM, message

from botkit.store.conversations import ConversationStore
from botkit.store.personal import Holdings, Record
from botkit.types import ConversationKey, Person

BEN = Person("discord", "2", "Ben")
ELSEWHERE = ConversationKey("discord", "bot", "elsewhere")


async def exchange(store: ConversationStore, event_id: str, text: str, **more: object) -> None:
    stored = await store.append(message(event_id, text, **more))  # type: ignore[arg-type]
    await store.record(stored.message_id, outcome="answered", text=f"answer to {text}")


async def test_what_is_kept_is_counted(store: ConversationStore) -> None:
    await exchange(store, "e1", "one")
    await exchange(store, "e2", "two", key=ELSEWHERE)
    await exchange(store, "e3", "three", sender=BEN)

    kept = await store.holdings(ANNA)

    assert (kept.n_messages, kept.n_answers, kept.n_conversations) == (2, 2, 2)
    assert kept.since is not None
    assert await store.holdings(Person("discord", "nobody")) == Holdings()


async def test_what_is_kept_is_written_out_in_order(store: ConversationStore) -> None:
    await exchange(store, "e1", "one")
    await exchange(store, "e3", "three", sender=BEN)

    records = await store.records(ANNA)

    assert [(one.conversation, one.role, one.text) for one in records] == [
        ("room", "user", "one"),
        ("room", "assistant", "answer to one"),
    ]
    assert isinstance(records[0], Record)


async def test_somebody_forgotten_leaves_nothing_and_the_others_keep_theirs(store: ConversationStore) -> None:
    await exchange(store, "e1", "one")
    await exchange(store, "e3", "three", sender=BEN)

    assert await store.forget(ANNA) == 1

    assert await store.holdings(ANNA) == Holdings()
    assert await store.records(ANNA) == []
    conversation = await store.conversation(ROOM)
    assert conversation is not None
    assert [turn.text for turn in conversation.turns] == ["three", "answer to three"]
    assert conversation.title == ""
    assert await store.conversations("discord", "bot", "discord:1") == []


async def test_somebody_forgotten_may_come_back(store: ConversationStore) -> None:
    await exchange(store, "e1", "one")
    await store.forget(ANNA)
    await exchange(store, "e2", "two")

    assert [one.text for one in await store.records(ANNA)] == ["two", "answer to two"]


async def test_forgetting_nobody_is_nothing(store: ConversationStore) -> None:
    assert await store.forget(Person("discord", "nobody")) == 0

"""How far a conversation reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chat_parts import ANNA, BEN, ROOM, message
from hypothesis import given
from hypothesis import strategies as st

from botkit.chat.scope import Scope, narrow
from botkit.types import ConversationKey

TOPIC = replace(ROOM, thread="topic")
SCOPES: list[Scope] = ["auto", "chat", "thread", "member", "reply"]


@pytest.mark.parametrize("scope", ["auto", "thread"])
def test_the_platforms_thread_is_the_conversation(scope: Scope) -> None:
    assert narrow(message(conversation=TOPIC), scope) == TOPIC
    assert narrow(message(), scope) == ROOM


def test_scope_chat_joins_all_threads() -> None:
    assert narrow(message(conversation=TOPIC), "chat") == ROOM


def test_scope_member_gives_each_person_a_conversation_in_each_thread() -> None:
    keys = {
        narrow(message(sender=sender, conversation=where), "member")
        for sender in (ANNA, BEN)
        for where in (ROOM, TOPIC)
    }

    assert len(keys) == 4
    again = message("2", "other words", reply_to="9")
    assert narrow(again, "member") == narrow(message("1"), "member")


def test_scope_reply_follows_the_tree() -> None:
    root, answer = message("1"), message("2", reply_to="1", sender=BEN)

    assert narrow(root, "reply") == narrow(answer, "reply")
    assert narrow(message("3"), "reply") != narrow(root, "reply")


@pytest.mark.parametrize("scope", SCOPES)
def test_a_private_chat_is_one_conversation(scope: Scope) -> None:
    keys = {narrow(message(str(n), private=True), scope) for n in range(3)}

    assert keys == {ROOM}


ids = st.text(max_size=6) | st.sampled_from(["a", "a&thread=b", "member=a", "%", "\ud800"])
keys = st.builds(ConversationKey, st.just("web"), ids, ids, ids)


@given(st.sampled_from(SCOPES), keys, keys, ids, ids)
def test_no_scope_ever_joins_two_chats(
    scope: Scope, one: ConversationKey, other: ConversationKey, sender: str, event: str
) -> None:
    if replace(one, thread="") == replace(other, thread=""):
        return
    first = message(event, conversation=one, sender=replace(ANNA, id=sender))
    second = message(event, conversation=other, sender=replace(ANNA, id=sender))

    assert narrow(first, scope) != narrow(second, scope)


@given(ids, ids, ids, ids)
def test_different_members_and_threads_never_get_one_key(a: str, b: str, thread: str, other: str) -> None:
    first = message(sender=replace(ANNA, id=a), conversation=replace(ROOM, thread=thread))
    second = message(sender=replace(ANNA, id=b), conversation=replace(ROOM, thread=other))

    assert (narrow(first, "member") == narrow(second, "member")) == ((a, thread) == (b, other))

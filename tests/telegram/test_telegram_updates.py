"""Reading raw updates: who is meant, where it belongs, and what makes no sense."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botkit_telegram.spot import Spot
from botkit_telegram.trees import Trees
from botkit_telegram.updates import ANONYMOUS_ADMIN, Press, Reader, Unreadable
from telegram_parts import ANNA, GROUP, ME, PRIVATE, said

from botkit.types import Message, Person

COMMANDS = ("help", "reset", "model", "stop", "regenerate")
BOT = {"id": ME.id, "is_bot": True, "first_name": "Testy", "username": "testbot"}


def read(update: dict[str, Any]) -> Message:
    message = Reader(ME, Trees(), COMMANDS).read(update)
    assert isinstance(message, Message)
    return message


def entity(kind: str, offset: int, length: int, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "offset": offset, "length": length, **fields}


def test_a_private_message_has_all_that_the_core_needs() -> None:
    update = said("hello")
    message = read(update)

    assert message.event_id == f"7/{update['message']['message_id']}"
    assert message.sender == Person("telegram", "7", "Anna Lee")
    assert (message.conversation.platform, message.conversation.bot) == ("telegram", "99")
    assert (message.conversation.chat, message.conversation.thread) == ("7", "")
    assert message.sent_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert (message.text, message.addressed, message.private) == ("hello", True, True)
    assert message.reply_to is None


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("@testbot hi", {"entities": [entity("mention", 0, 8)]}),
        ("so \N{GRINNING FACE} @TestBot", {"entities": [entity("mention", 6, 8)]}),
        ("you there", {"entities": [entity("text_mention", 0, 3, user=BOT)]}),
        ("yes", {"reply_to_message": {"message_id": 1, "date": 0, "chat": GROUP, "from": BOT}}),
        ("/help", {}),
        ("/help@testbot", {}),
        ("/anything@testbot x", {}),
        ("Testy, what now?", {}),
        ("testy?", {}),
    ],
)
def test_in_a_group_the_bot_knows_when_it_is_meant(text: str, fields: dict[str, Any]) -> None:
    assert read(said(text, GROUP, **fields)).addressed


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("hello all", {}),
        ("@testbotter hi", {"entities": [entity("mention", 0, 11)]}),
        ("@other hi", {"entities": [entity("mention", 0, 6)]}),
        ("@testbot", {"entities": [entity("mention", 4000, -9)]}),
        ("/help@otherbot", {}),
        ("/roll 3", {}),
        ("Testyman, hello", {}),
        ("yes", {"reply_to_message": {"message_id": 1, "date": 0, "chat": GROUP, "from": ANNA}}),
        # Whatever is written in a topic "replies" to the message that opened it.
        (
            "yes",
            {
                "is_topic_message": True,
                "message_thread_id": 5,
                "reply_to_message": {"message_id": 5, "date": 0, "chat": GROUP, "from": BOT},
            },
        ),
    ],
)
def test_in_a_group_the_bot_knows_when_it_is_not_meant(text: str, fields: dict[str, Any]) -> None:
    assert not read(said(text, GROUP, **fields)).addressed


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("@testbot what is new?", "what is new?"),
        ("@TestBot, hi", "hi"),
        ("@testbot", "@testbot"),
        ("ask @testbot", "ask @testbot"),
        ("@testbot2 hi", "@testbot2 hi"),
    ],
)
def test_the_name_it_is_called_by_is_no_part_of_what_is_said(text: str, heard: str) -> None:
    assert read(said(text, GROUP)).text == heard


@pytest.mark.parametrize("text", ["/start", "/start@testbot", "/start from-a-link"])
def test_who_opens_the_chat_is_told_what_the_bot_understands(text: str) -> None:
    assert read(said(text)).text == "/help"


def test_a_topic_is_a_thread_and_a_chain_of_replies_is_none() -> None:
    in_topic = read(said("a", GROUP, message_thread_id=5, is_topic_message=True))
    in_chain = read(said("a", GROUP, message_thread_id=5))

    assert in_topic.conversation.thread == "5"
    assert Spot.of_event(in_topic.event_id).thread_id == 5
    assert in_chain.conversation.thread == ""


def test_a_reply_goes_back_to_the_root_of_its_tree() -> None:
    trees = Trees()
    reader = Reader(ME, trees, COMMANDS)
    root = said("root", GROUP)["message"]
    first = reader.read(said("root", GROUP, message_id=root["message_id"]))
    trees.grow(GROUP["id"], 9001, root["message_id"])
    answer = {"message_id": 9001, "date": 0, "chat": GROUP, "from": BOT}
    second = reader.read(said("and then?", GROUP, message_id=9002, reply_to_message=answer))
    third = reader.read(said("more", GROUP, reply_to_message={**answer, "message_id": 9002, "from": ANNA}))

    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert isinstance(third, Message)
    assert second.reply_to == third.reply_to == first.event_id


def test_words_under_a_picture_are_words() -> None:
    mention = entity("mention", 0, 8)
    message = read(said("", GROUP, caption="@testbot look", caption_entities=[mention]))

    assert (message.text, message.addressed) == ("look", True)


def test_an_admin_who_speaks_for_the_group_is_a_person() -> None:
    hidden = {"id": ANONYMOUS_ADMIN, "is_bot": True, "first_name": "Group"}
    message = read(said("hi", GROUP, **{"from": hidden, "sender_chat": GROUP}))

    assert message.sender == Person("telegram", "-100500", "Friends")


def test_other_bots_are_known_as_such() -> None:
    assert read(said("hi", GROUP, **{"from": {"id": 3, "is_bot": True, "first_name": "B"}})).sender.is_bot


@pytest.mark.parametrize(
    "update",
    [
        {"update_id": 1, "edited_message": {"whatever": 1}},
        {"update_id": 1, "something_new": {"a": [1]}},
        said("", new_chat_members=[ANNA]),
        said("news", is_automatic_forward=True),
        said("   "),
        said("hi", **{"from": None}),
    ],
)
def test_what_is_nobodys_words_is_passed_over(update: dict[str, Any]) -> None:
    assert Reader(ME, Trees(), COMMANDS).read(update) is None


@pytest.mark.parametrize(
    "update",
    [
        None,
        "text",
        [],
        {},
        {"update_id": "x"},
        {"update_id": 1, "message": "no object"},
        {"update_id": 1, "message": {"message_id": 1}},
        said("hi", date="yesterday"),
        said("hi", date=10**40),
        said("hi", chat={"id": "nine"}),
        said("hi", entities="none"),
        said("hi", **{"from": 7}),
        {"update_id": 1, "callback_query": {"id": "1"}},
    ],
)
def test_an_update_that_makes_no_sense_is_named_and_nothing_of_it_is_shown(update: Any) -> None:
    with pytest.raises(Unreadable) as caught:
        Reader(ME, Trees(), COMMANDS).read(update)

    assert "hi" not in str(caught.value).split()
    assert "\n" not in str(caught.value)


def test_a_press_says_what_the_person_might_have_typed() -> None:
    asked = {"message_id": 4, "date": 0, "chat": PRIVATE, "from": ANNA, "text": "q"}
    ours = {"message_id": 5, "date": 0, "chat": PRIVATE, "from": BOT, "text": "a", "reply_to_message": asked}
    query = {"id": "abc", "from": ANNA, "message": ours, "data": "regenerate", "chat_instance": "1"}
    press = Reader(ME, Trees(), COMMANDS).read({"update_id": 1, "callback_query": query})

    assert isinstance(press, Press)
    assert press.message is not None
    assert (press.message.text, press.message.sender.id) == ("/regenerate", "7")
    assert press.message.event_id == "7/5//regenerate"
    assert press.message.reply_to == "7/4"
    assert Spot.of_event(press.message.event_id) == Spot(7, 5, None, "regenerate")


def test_event_ids_find_back() -> None:
    for spot in (Spot(7, 1), Spot(-100500, 12, 5), Spot(-100500, 12, 5, "8/9"), Spot(7, 1, None, "x")):
        assert Spot.of_event(spot.event_id) == spot

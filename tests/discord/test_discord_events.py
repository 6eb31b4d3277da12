"""What discord.py delivers, as a Message."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from botkit_discord.events import EventName, is_talk, message_of
from botkit_discord.places import Place
from discord_parts import ANNA, ANNA_ID, BEN, BEN_ID, BOT, BOT_ID, CHANNEL_ID, Offline, payload

from botkit.types import ConversationKey, Message

GUILD = Place(str(CHANNEL_ID))
DIRECT = Place(str(CHANNEL_ID), private=True)


def took(text: str, place: Place = GUILD, **more: Any) -> Message:
    offline = Offline()
    return message_of(offline.message(text, **more), offline.bot, place)


async def test_a_message_carries_where_who_and_when() -> None:
    message = took("hello", Place("1", "2"), number=1234)

    assert message.event_id == f"{CHANNEL_ID}/1234"
    assert message.conversation == ConversationKey("discord", str(BOT_ID), "1", "2")
    assert message.sender.ref == f"discord:{ANNA_ID}"
    assert message.sender.name == "anna"
    assert message.sent_at == discord.utils.snowflake_time(1234)
    assert not message.private


async def test_only_who_is_called_is_addressed() -> None:
    assert not took("hello").addressed
    assert not took("hello", mentions=[BEN]).addressed
    assert not took("hello @everyone", mention_everyone=True).addressed
    assert took(f"<@{BOT_ID}> hello").addressed


async def test_a_mention_counts_without_the_words() -> None:
    """Without the message content intent, the list of mentions is all there is."""
    assert took("", mentions=[BOT]).addressed


async def test_a_direct_message_is_addressed_and_private() -> None:
    message = took("hello", DIRECT)

    assert message.addressed
    assert message.private


@pytest.mark.parametrize(("author", "addressed"), [(BOT, True), (BEN, False)])
async def test_an_answer_to_the_bot_is_addressed(author: dict[str, Any], addressed: bool) -> None:
    answered = payload("earlier", author=author, number=999)
    reference = {"message_id": "999", "channel_id": str(CHANNEL_ID), "type": 0}

    message = took("and then?", type=19, message_reference=reference, referenced_message=answered)

    assert message.addressed is addressed


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (f"<@{BOT_ID}> hello", "hello"),
        (f"<@!{BOT_ID}>, hello", "hello"),
        (f"hello <@{BOT_ID}>", "hello"),
        (f"<@{BOT_ID}> <@{BOT_ID}> hello <@{BOT_ID}>", "hello"),
        (f"<@{BOT_ID}>/help", "/help"),
        (f"ask <@{BOT_ID}> or <@{BEN_ID}> or <@7>", "ask @botto or @ben or @somebody"),
        (f"<@{BOT_ID}>", ""),
        ("  two\n  lines  ", "two\n  lines"),
    ],
)
async def test_mentions_are_read_as_names(said: str, text: str) -> None:
    assert took(said, mentions=[BOT, BEN]).text == text


@pytest.mark.parametrize(
    "more",
    [{"author": BOT}, {"author": {**BEN, "bot": True}}, {"webhook_id": "77"}, {"type": 7}, {"type": 6}],
    ids=["itself", "another bot", "a webhook", "a join", "a pin"],
)
async def test_what_no_person_said_is_no_talk(more: dict[str, Any]) -> None:
    assert not is_talk(Offline().message("hello", **more))


async def test_what_a_person_said_is_talk() -> None:
    assert is_talk(Offline().message("hello"))
    assert is_talk(Offline().message("hello", author=ANNA, type=discord.MessageType.reply.value))


@pytest.mark.parametrize("name", [EventName(5, 6), EventName(5, 6, is_message=False)])
def test_an_event_is_found_again_by_its_name(name: EventName) -> None:
    assert EventName.parse(str(name)) == name

"""Whatever a client sends, the fake Telegram answers or refuses; it never breaks."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botkit.testing.bell import Bell
from botkit.testing.clock import ManualClock
from botkit.testing.telegram.account import Account
from botkit.testing.telegram.content import units
from botkit.testing.telegram.formatting import parse_html, parse_markdown_v2
from botkit.testing.telegram.methods import METHODS, known_name
from botkit.testing.telegram.params import Params
from botkit.testing.telegram.refusal import Refused
from botkit.testing.telegram.world import User, Version, World

NAMES = [
    "text",
    "caption",
    "entities",
    "caption_entities",
    "parse_mode",
    "reply_markup",
    "reply_parameters",
    "message_id",
    "chat_id",
    "user_id",
    "message_thread_id",
    "draft_id",
    "action",
    "commands",
    "scope",
    "url",
    "secret_token",
    "allowed_updates",
    "document",
    "photo",
    "file_id",
    "name",
    "callback_query_id",
    "results",
    "inline_query_id",
]
LEAVES = st.none() | st.booleans() | st.integers(-3, 9) | st.text(max_size=6)
KEYS = st.sampled_from(
    ["type", "offset", "length", "inline_keyboard", "text", "callback_data", "message_id", "command"]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MARKUP_SOURCE = st.text(st.sampled_from("ab\N{GRINNING FACE}<>/*_~|`[]()\\!.& "), max_size=25)


def world_with_a_chat() -> tuple[World, Account]:
    clock = ManualClock()
    world = World(clock)
    bot = Account("123:token", User(123, "testbot", "testbot", is_bot=True), clock, Bell())
    chat = world.private_chat(world.new_user("Ann"), bot.user, has_topics=True)
    world.new_message(chat, world.new_user("Ann"), Version("hello"))
    world.new_message(chat, bot.user, Version("hello, Ann"))
    return world, bot


@pytest.mark.parametrize("method", sorted(METHODS))
@given(params=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), as_form=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_method_answers_or_refuses(method: str, params: dict[str, object], as_form: bool) -> None:
    world, bot = world_with_a_chat()
    values = {"chat_id": world.chats[0].id, "message_id": 2, **params}
    if as_form:
        values = {key: v if isinstance(v, str) else json.dumps(v) for key, v in values.items()}

    with suppress(Refused):
        json.dumps(METHODS[method](world, bot, Params(values)))


@given(MARKUP_SOURCE)
@settings(max_examples=300, deadline=None)
def test_marks_end_inside_the_text_or_are_refused(source: str) -> None:
    for parse in (parse_html, parse_markdown_v2):
        with suppress(Refused):
            text, entities = parse(source)
            assert all(0 <= int(str(e["offset"])) < units(text) for e in entities)
            assert all(int(str(e["offset"])) + int(str(e["length"])) <= units(text) for e in entities)


def test_brackets_without_an_address_are_text() -> None:
    assert parse_markdown_v2("[a](b) [c]")[0] == "a c"


def test_names_of_methods_are_taken_in_any_case() -> None:
    assert known_name("SENDmessage") == "sendMessage"
    assert known_name("GETUPDATES") == "getUpdates"
    assert known_name("sendRichMessage") is None

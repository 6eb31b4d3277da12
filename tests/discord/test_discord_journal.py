"""How far a bot has read, as its cursor keeps it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import discord
import pytest
from botkit_discord.journal import MAX_CHANNELS, Journal, Session

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR_S = 3600.0


def at(hours_ago: float) -> int:
    return discord.utils.time_snowflake(NOW - timedelta(hours=hours_ago))


def test_a_cursor_brings_back_what_it_was_made_from() -> None:
    journal = Journal(at(3))
    journal.note(5, at(1), private=False)
    journal.note(6, at(2), private=True)
    session = Session("abc", "wss://resume.example", 42)

    found = Journal.parse(journal.position(session), NOW)

    assert found.seen == {5: at(1), 6: at(2)}
    assert found.private == {6}
    assert found.session == session
    assert found.since == at(3)


@pytest.mark.parametrize(
    "position",
    [None, "", "{", "[]", "7", "null", '{"since": 1}', '{"since":1,"seen":[],"private":[],"session":3}'],
)
def test_a_cursor_that_cannot_be_read_is_begun_anew(position: str | None) -> None:
    assert Journal.parse(position, NOW) == Journal.begin(NOW)


def test_a_channel_is_read_from_its_newest_message_on() -> None:
    journal = Journal(at(10))
    journal.note(5, at(0.5), private=False)
    journal.note(5, at(0.7), private=False)

    assert journal.read_until(5, NOW, HOUR_S) == at(0.5)


def test_nothing_older_than_the_limit_is_read() -> None:
    journal = Journal(at(10))
    journal.note(5, at(4), private=False)

    assert journal.read_until(5, NOW, HOUR_S) == at(1)
    assert journal.read_until(6, NOW, HOUR_S) == at(1)


def test_nothing_is_read_from_before_the_bot() -> None:
    assert Journal.begin(NOW).read_until(5, NOW, HOUR_S) == at(0)


def test_a_cursor_stays_small() -> None:
    journal = Journal(at(10))
    for number in range(MAX_CHANNELS + 50):
        journal.note(number, at(5) + number, private=True)

    assert len(journal.seen) == len(journal.private) == MAX_CHANNELS
    assert len(json.loads(journal.position(None))["seen"]) == MAX_CHANNELS

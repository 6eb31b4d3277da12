"""Platforms where a repeated send shows twice: a message begins empty, and is edited once it is noted."""

from __future__ import annotations

import pytest

from botkit.chat.reply import LiveReply
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import RecordingReply
from botkit.types import Limits, Place

LIMITS = Limits(placeholder="...", lasting=True, edit_interval_s=1)


class Notes:
    """Keeps what is noted, and what the platform showed at that moment."""

    def __init__(self, reply: RecordingReply) -> None:
        self._reply = reply
        self.shown: list[tuple[tuple[str, ...], str]] = []

    async def __call__(self, receipts: tuple[str, ...]) -> None:
        self.shown.append((receipts, self._reply.text))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def reply(clock: ManualClock) -> RecordingReply:
    return RecordingReply(clock, LIMITS)


async def test_nothing_of_an_answer_is_shown_before_its_message_is_noted(
    clock: ManualClock, reply: RecordingReply
) -> None:
    notes = Notes(reply)
    await clock.run(LiveReply(reply, clock, noted=notes).finish("the answer"))

    assert notes.shown == [(("r1",), "...")]
    assert [(call.kind, call.text) for call in reply.calls] == [("send", "..."), ("edit", "the answer")]
    assert reply.final == {"r1"}


async def test_a_message_that_began_is_gone_on_with_when_its_text_could_not_be_brought(
    clock: ManualClock, reply: RecordingReply
) -> None:
    live = LiveReply(reply, clock, noted=Notes(reply))

    async def fail_once(receipts: tuple[str, ...]) -> None:
        reply.fail_next(1)

    live._noted = fail_once
    await clock.run(live.finish("the answer"))

    assert reply.messages == {"r1": "the answer"}


async def test_the_place_in_line_is_shown_in_it_and_a_platform_that_fails_is_asked_again(
    clock: ManualClock, reply: RecordingReply
) -> None:
    live = LiveReply(reply, clock, noted=Notes(reply))
    reply.fail_next(1)

    async def wait_in_line() -> None:
        async with live:
            await live.waiting(Place(2, 6))
            await clock.sleep(5)
            live.show("the answer")
            await clock.sleep(5)

    await clock.run(wait_in_line())

    assert reply.places == [Place(2, 6)]
    assert reply.messages == {"r1": "the answer"}


async def test_a_reply_that_nobody_keeps_begins_with_its_text(
    clock: ManualClock, reply: RecordingReply
) -> None:
    await clock.run(LiveReply(reply, clock).finish("the answer"))

    assert [(call.kind, call.text) for call in reply.calls] == [("send", "the answer")]

"""Showing an answer while it grows: the newest text, at the platform's pace, exact in the end."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from chat_parts import CancelledAt, other_tasks
from hypothesis import given
from hypothesis import strategies as st

from botkit.chat.reply import EMPTIED, LiveReply
from botkit.errors import BackendDied, PlatformError
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import RecordingReply, words
from botkit.types import Limits, Place

TEXT = "one two three four five six seven eight nine ten"


async def show_word_by_word(live: LiveReply, clock: ManualClock, text: str, word_s: float = 0.1) -> None:
    """Let *text* grow in the mailbox, a word every *word_s* seconds, and finish it."""
    async with live:
        for end in itertools.accumulate(len(word) for word in words(text)):
            await clock.sleep(word_s)
            live.show(text[:end])
    await live.finish(text)


async def test_the_first_text_is_shown_at_once_and_later_ones_at_the_pace(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(edit_interval_s=0.25))
    await clock.run(show_word_by_word(LiveReply(reply, clock), clock, TEXT))

    assert [(call.kind, call.text) for call in reply.calls[:2]] == [
        ("send", "one"),
        ("edit", "one two three"),
    ]
    times = [call.at_s for call in reply.calls]
    assert times[0] == pytest.approx(0.1)
    assert all(later - earlier >= 0.25 - 1e-9 for earlier, later in itertools.pairwise(times))
    assert reply.text == TEXT
    assert reply.final == {"r1"}


async def test_a_newer_text_replaces_the_one_not_yet_shown(clock: ManualClock) -> None:
    reply = RecordingReply(clock, call_s=10)
    await clock.run(show_word_by_word(LiveReply(reply, clock), clock, TEXT))

    assert [call.text for call in reply.calls] == ["one", TEXT]


async def test_the_same_text_is_not_sent_again(clock: ManualClock) -> None:
    reply = RecordingReply(clock)
    live = LiveReply(reply, clock)
    async with live:
        for _ in range(5):
            live.show("same")
            await clock.settle()
    await live.finish("same")
    await live.finish("same")

    assert [(call.kind, call.final) for call in reply.calls] == [("send", False), ("edit", True)]


async def test_without_editing_only_the_final_text_is_sent(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(can_edit=False, max_units=20, typing_interval_s=0.3))
    await clock.run(show_word_by_word(LiveReply(reply, clock), clock, TEXT))

    assert {call.kind for call in reply.calls} == {"send", "typing"}
    assert reply.text == TEXT
    assert len(reply.of_kind("typing")) == 4


async def test_a_long_answer_goes_on_in_further_messages(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(max_units=16, edit_interval_s=0.05))
    live = LiveReply(reply, clock)
    await clock.run(show_word_by_word(live, clock, TEXT))

    assert reply.text == TEXT
    assert len(reply.messages) == 4
    assert live.receipts == ("r1", "r2", "r3", "r4")
    assert reply.final == set(live.receipts)
    for receipt in live.receipts[:-1]:  # once it was final, nothing was changed any more
        calls = [call for call in reply.calls if call.receipt == receipt]
        assert [call.final for call in calls].count(True) == 1
        assert calls[-1].final


async def test_the_sign_of_typing_is_kept_alive_until_there_is_text(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(typing_interval_s=4))
    live = LiveReply(reply, clock)

    async def answer() -> None:
        async with live:
            await clock.sleep(10)
            live.show("text")
            await clock.sleep(100)
        await live.finish("text")

    await clock.run(answer())

    assert [call.at_s for call in reply.of_kind("typing")] == [0, 4, 8]


class MuteReply(RecordingReply):
    """A platform on which the sign of typing and the place in line always fail."""

    async def typing(self) -> None:
        raise PlatformError("no sign")

    async def waiting(self, place: Place) -> None:
        raise PlatformError("no place")


async def test_failing_signs_do_no_harm(clock: ManualClock) -> None:
    reply = MuteReply(clock, Limits(typing_interval_s=0.01))
    live = LiveReply(reply, clock)
    await live.waiting(Place(1, 1.0))
    await clock.run(show_word_by_word(live, clock, TEXT))

    assert reply.text == TEXT


async def test_a_failed_edit_is_tried_again_with_the_newest_text(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(edit_interval_s=0.01))
    reply.fail_next(2)
    await clock.run(show_word_by_word(LiveReply(reply, clock), clock, TEXT, word_s=1))

    assert reply.text == TEXT
    assert len(reply.calls) > 5


async def test_failing_again_and_again_ends_the_work_inside(clock: ManualClock) -> None:
    reply = RecordingReply(clock)
    reply.fail_next(1000)
    live = LiveReply(reply, clock)
    left: list[str] = []

    async def generate() -> None:
        async with live:
            try:
                live.show("text")
                await clock.sleep(1000)
            finally:
                left.append("slot given back")

    with pytest.raises(PlatformError, match="as the test wished"):
        await clock.run(generate())

    assert left == ["slot given back"]
    assert clock.monotonic() < 10
    assert other_tasks() == set()


async def test_the_final_text_is_tried_several_times(clock: ManualClock) -> None:
    reply = RecordingReply(clock)
    live = LiveReply(reply, clock)
    reply.fail_next(4)
    await clock.run(live.finish("answer"))
    assert reply.messages == {"r1": "answer"}

    reply.fail_next(5)
    with pytest.raises(PlatformError):
        await clock.run(live.finish("other"))


async def test_trying_again_does_not_repeat_the_messages_that_came_through(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(max_units=16, edit_interval_s=0.1))
    live = LiveReply(reply, clock)
    running = asyncio.create_task(live.finish(TEXT))
    await clock.advance(0.15)
    reply.fail_next(2)
    await clock.run(running)

    assert reply.text == TEXT
    assert [call.kind for call in reply.calls] == ["send"] * 4


async def test_what_the_work_raises_passes_through_unchanged(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(typing_interval_s=1))
    live = LiveReply(reply, clock)

    async def generate() -> None:
        async with live:
            live.show("some")
            await clock.sleep(0.5)
            raise BackendDied("gone")

    with pytest.raises(BackendDied, match="gone"):
        await clock.run(generate())
    assert reply.text == "some"
    assert other_tasks() == set()


class LateReply(RecordingReply):
    """A platform that shows a message at once and tells its receipt five seconds later."""

    async def send(self, text: str, *, final: bool) -> str:
        receipt = await super().send(text, final=final)
        await self.clock.sleep(5)
        return receipt


async def test_a_call_on_its_way_is_waited_for_so_that_its_receipt_is_known(clock: ManualClock) -> None:
    reply = LateReply(clock)
    live = LiveReply(reply, clock)

    async def answer() -> None:
        async with live:
            live.show("early")
            await clock.sleep(1)
        assert live.receipts == ("r1",)
        await live.finish("early and late")

    await clock.run(answer())

    assert reply.messages == {"r1": "early and late"}


async def test_a_call_on_its_way_is_waited_for_when_the_work_fails_too(clock: ManualClock) -> None:
    reply = LateReply(clock)
    live = LiveReply(reply, clock)

    async def answer() -> None:
        async with live:
            live.show("early")
            await clock.sleep(1)
            raise BackendDied("gone")

    with pytest.raises(BackendDied):
        await clock.run(answer())
    await clock.run(live.finish("early, and an excuse"))

    assert reply.messages == {"r1": "early, and an excuse"}


async def test_no_further_message_is_begun_once_the_block_is_being_left(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(max_units=16), call_s=5)
    live = LiveReply(reply, clock)

    async def answer() -> None:
        async with live:
            live.show(TEXT)
            await clock.sleep(1)

    await clock.run(answer())

    assert live.receipts == ("r1",)


async def test_messages_that_are_not_needed_any_more_are_emptied(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(max_units=16))
    live = LiveReply(reply, clock)
    async with live:
        live.show(TEXT)
        await clock.settle()
    await live.finish("no")

    assert list(reply.messages.values()) == ["no"] + [EMPTIED] * 3


async def test_blank_text_is_not_sent(clock: ManualClock) -> None:
    reply = RecordingReply(clock, Limits(max_units=10))
    live = LiveReply(reply, clock)
    async with live:
        live.show(" \n")
        await clock.settle()
        live.show(" \n \n \n \n \n \n \n \nhello")
        await clock.settle()
    await live.finish(" \n \n \n \n \n \n \n \nhello")

    assert "".join(reply.messages.values()).strip() == "hello"


@given(
    text=st.text(alphabet="ab \n.`😀", min_size=1, max_size=200).filter(str.strip),
    limit=st.integers(8, 60),
    steps=st.lists(st.integers(1, 20), min_size=1, max_size=30),
    failures=st.lists(st.integers(0, 30), max_size=3),
    interval_s=st.sampled_from([0.0, 0.15, 1.0]),
)
def test_whatever_happens_the_final_text_stands_there_once(
    text: str, limit: int, steps: list[int], failures: list[int], interval_s: float
) -> None:
    async def main() -> None:
        clock = ManualClock()
        reply = RecordingReply(clock, Limits(max_units=limit, edit_interval_s=interval_s), call_s=0.05)
        live = LiveReply(reply, clock)

        async def answer() -> None:
            async with live:
                end = 0
                for index, step in enumerate(steps):
                    if index in failures:
                        reply.fail_next(1)
                    end += step
                    live.show(text[:end])
                    await clock.sleep(0.1)
            await live.finish(text)

        await clock.run(answer())

        # Marks that close and open code blocks, and blank messages, are all that may differ.
        def bare(shown: str) -> str:
            return "".join(shown.replace("`", "").split())

        assert bare(reply.text) == bare(text)
        assert reply.final == set(reply.messages)
        assert other_tasks() == set()

    asyncio.run(main())


async def test_cancelling_at_any_await_leaves_no_task(clock: ManualClock) -> None:
    limits = Limits(max_units=16, edit_interval_s=0.15, typing_interval_s=0.2)

    async def attempt(n: int) -> int:
        live = LiveReply(RecordingReply(clock, limits, call_s=0.05), clock)
        probe = CancelledAt(show_word_by_word(live, clock, TEXT), n)

        async def run() -> None:
            await probe

        task = asyncio.create_task(run())
        await clock.run(asyncio.wait({task}))
        assert task.cancelled() == (n <= probe.n_awaits)
        assert other_tasks() == set()
        return probe.n_awaits

    n_awaits = await attempt(10**6)
    assert n_awaits > 10
    for n in range(1, n_awaits + 1):
        await attempt(n)

"""What is known of a message on its walk, and what outcome it has."""

from __future__ import annotations

import pytest
from chat_parts import ROOM, message

from botkit.chat.exchange import NOTHING_SAID, STOPPED, Exchange, is_refusal, public_text
from botkit.chat.reply import LiveReply
from botkit.errors import (
    BackendBusy,
    BackendDied,
    BackendError,
    BadRequestError,
    DeadlineExceeded,
    ModelError,
    PlatformError,
    PluginError,
    QueueFull,
    StoreError,
    UnknownNameError,
)
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import RecordingReply
from botkit.types import Chunk, Conversation, Usage


@pytest.fixture
async def exchange(clock: ManualClock) -> Exchange:
    live = LiveReply(RecordingReply(clock), clock)
    return Exchange(1, 1, message(), Conversation(1, ROOM), live, model="m", submitted_s=10.0)


async def test_chunks_become_text_usage_and_times(exchange: Exchange) -> None:
    chunks = [Chunk("1"), Chunk("1", "a ", 1), Chunk("1", "b", 2), Chunk("1", finish="stop")]
    firsts = [exchange.take(chunk, 11.0 + n) for n, chunk in enumerate(chunks)]
    exchange.take(Chunk("1", usage=Usage(5, 3, 1)), 15.0)
    completion = exchange.completion(16.0)

    assert firsts == [False, True, False, False]
    assert completion is not None
    assert (completion.text, completion.finish, completion.model) == ("a b", "stop", "m")
    assert completion.usage == Usage(5, 3, 1)
    assert (completion.first_chunk_s, completion.total_s) == (2.0, 6.0)
    assert exchange.outcome == "answered"
    assert exchange.final_text() == "a b"


async def test_a_stream_that_only_ends_was_not_finished(exchange: Exchange) -> None:
    exchange.take(Chunk("1", "half"), 11.0)

    with pytest.raises(BackendError, match="without a finish"):
        exchange.check_finished()


async def test_what_never_reached_the_model_has_no_completion(exchange: Exchange) -> None:
    exchange.submitted_s = None

    assert exchange.completion(20.0) is None


async def test_an_interrupted_answer_counts_its_own_tokens(exchange: Exchange) -> None:
    exchange.take(Chunk("1", "some", 4), 11.0)
    exchange.interrupted = True
    completion = exchange.completion(12.0)

    assert exchange.outcome == "cancelled"
    assert exchange.final_text() == "some"
    assert completion is not None
    assert (completion.finish, completion.usage.completion_tokens) == ("cancelled", 4)


@pytest.mark.parametrize("written", ["", " \n"])
async def test_nothing_is_never_shown_as_nothing(exchange: Exchange, written: str) -> None:
    exchange.take(Chunk("1", written), 11.0)

    assert exchange.final_text() == NOTHING_SAID
    exchange.interrupted = True
    assert exchange.final_text() == STOPPED


async def test_what_was_written_stays_when_it_breaks_off(exchange: Exchange) -> None:
    exchange.take(Chunk("1", "half an answer"), 11.0)
    exchange.error = BackendDied("gone")

    assert exchange.outcome == "failed"
    assert exchange.final_text() == f"half an answer\n\n{BackendDied.public} (id {exchange.id})"


REFUSALS = [QueueFull("x"), BackendBusy("x"), DeadlineExceeded("x"), BadRequestError("x")]
FAILURES = [
    StoreError("x"),
    ModelError("x"),
    BackendDied("x"),
    PlatformError("x"),
    PluginError("x"),
    KeyError("x"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
async def test_a_refusal_is_told_without_an_id(exchange: Exchange, error: Exception) -> None:
    exchange.error = error

    assert is_refusal(error)
    assert exchange.outcome == "refused"
    assert exchange.id not in exchange.final_text()


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
async def test_a_failure_is_told_with_an_id_and_without_details(exchange: Exchange, error: Exception) -> None:
    exchange.error = error

    assert exchange.outcome == "failed"
    assert exchange.final_text().endswith(f"(id {exchange.id})")
    assert "x" not in exchange.final_text().removesuffix(f"(id {exchange.id})")


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    text = public_text(UnknownNameError("model", "smal", ["small"]), "1")

    assert text == "Unknown model 'smal' (did you mean 'small'?)"

"""What the bot and its engine say to each other comes out as it went in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botkit.engine.engine import Engine
from botkit.engine.wire import (
    Cancel,
    Count,
    Counted,
    Failed,
    Generate,
    Ready,
    Refused,
    Stepped,
    decode,
    encode,
)
from botkit.engine.worker import Admitted, drive
from botkit.errors import BackendError, BadRequestError, BotkitError, ModelError, UnknownNameError
from botkit.types import Chunk, GenerationRequest, PromptTurn, Sampling, TokenLogprob, Usage

texts = st.text(st.characters(codec=None), max_size=20)  # lone surrogates, too
samplings = st.builds(
    Sampling, stop=st.tuples(texts), seed=st.none() | st.integers(), logprobs=st.none() | st.just(3)
)
turns = st.lists(st.builds(PromptTurn, st.sampled_from(["user", "assistant", "system"]), texts), max_size=3)
requests = st.builds(GenerationRequest, texts, texts, turns.map(tuple), st.none() | texts, samplings, texts)
logprobs = st.builds(TokenLogprob, texts, st.floats(-9, 0), st.tuples(st.tuples(texts, st.floats(-9, 0))))
chunks = st.builds(
    Chunk,
    texts,
    texts,
    st.integers(0, 9),
    st.sampled_from([None, "stop", "length"]),
    st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
    st.lists(logprobs, max_size=2).map(tuple),
)


@given(
    st.builds(Generate, requests)
    | st.builds(Cancel, texts)
    | st.builds(Count, st.integers(0), turns.map(tuple))
    | st.builds(Ready, st.integers(1), st.integers(1), st.just("cpu"), st.just("float32"))
    | st.builds(Stepped, st.lists(chunks, max_size=3).map(tuple))
    | st.builds(Counted, st.integers(0), st.integers(0))
)
def test_a_message_is_one_line_and_comes_back_equal(message: Any) -> None:
    line = encode(message)

    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelError("broken", hint="pull it again"), ModelError),
        (BadRequestError("too long"), BadRequestError),
        (UnknownNameError("model", "a", ["b"]), BackendError),
    ],
)
def test_errors_come_back_as_what_they_were(error: BotkitError, kind: type[BotkitError]) -> None:
    refused = decode(encode(Refused(error)))
    stepped = decode(encode(Stepped((Failed("a", error),))))
    counted = decode(encode(Counted(1, error)))

    assert isinstance(refused, Refused)
    assert isinstance(stepped, Stepped)
    assert isinstance(counted, Counted)
    failed = stepped.events[0]
    assert isinstance(failed, Failed)
    for back in (refused.error, failed.error, counted.n_tokens):
        assert type(back) is kind
        assert isinstance(back, BotkitError)
        assert back.line() == error.line()


@pytest.mark.parametrize(
    "line", [b"", b"hello", b"[]", b'["Nonsense",{}]', b'["Cancel",{"x":1}]', b"\xff", b'{"a":1}']
)
def test_what_is_no_message_is_an_error_and_nothing_else(line: bytes) -> None:
    with pytest.raises(BackendError):
        decode(line)


def test_a_request_that_cannot_be_added_gets_its_end_and_the_others_go_on(
    make_engine: Callable[..., Engine],
) -> None:
    engine, said = make_engine(), []
    asked = GenerationRequest("a", "tiny", (PromptTurn("user", "x"),), sampling=Sampling(max_tokens=3))
    work = [[Admitted(asked, [1, 2]), Admitted(asked, [1, 2])], [], [], [], None]

    drive(engine, lambda wait: work.pop(0), said.append)

    events = [event for message in said for event in message.events]
    assert sum(isinstance(event, Failed) for event in events) == 1
    assert sum(isinstance(event, Chunk) for event in events) == 3


def test_whatever_a_step_raises_its_requests_get_an_end(make_engine: Callable[..., Engine], capfd) -> None:
    engine, said = make_engine(), []
    asked = GenerationRequest("a", "tiny", (PromptTurn("user", "x"),), sampling=Sampling(max_tokens=3))
    forward, calls = engine._forward, []

    def failing_once(batch):
        calls.append(batch)
        if len(calls) == 2:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return forward(batch)

    engine._forward = failing_once  # type: ignore[method-assign]
    later = replace(asked, id="b")
    work = [[Admitted(asked, [1, 2])], [], [Admitted(later, [1, 2])], [], [], None]

    drive(engine, lambda wait: work.pop(0), said.append)

    ends = [e for message in said for e in message.events if isinstance(e, Failed) or e.finish]
    assert [end.request_id for end in ends] == ["a", "b"]
    assert isinstance(ends[0], Failed)
    assert "device-side assert" in str(ends[0].error)
    assert "device-side assert" in capfd.readouterr().err

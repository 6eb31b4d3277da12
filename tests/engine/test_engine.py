"""The engine steps many requests at once, and none of them can tell."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_llama import CONTEXT_TOKENS

from botkit.engine.codec import TextCodec
from botkit.engine.engine import Engine
from botkit.engine.wire import Failed
from botkit.errors import BackendError, BadRequestError, ModelError
from botkit.types import Chunk, GenerationRequest, PromptTurn, Sampling

MakeEngine = Callable[..., Engine]
GREEDY = Sampling(max_tokens=12, temperature=0.0, repetition_penalty=1.0)


def request(name: str, text: str = "hello", **changes: object) -> GenerationRequest:
    return GenerationRequest(name, "tiny", (PromptTurn("user", text),), sampling=replace(GREEDY, **changes))  # type: ignore[arg-type]


def run(engine: Engine, requests: Iterable[GenerationRequest] = ()) -> dict[str, list[Chunk | Failed]]:
    """Step until nothing is left; return what came for each request."""
    events: dict[str, list[Chunk | Failed]] = {}
    for one in requests:
        engine.add(one)
    for _ in range(500):
        if engine.idle:
            return events
        for event in engine.step():
            events.setdefault(event.request_id, []).append(event)
        engine.check_invariants()
    raise AssertionError("the engine does not come to an end")


def text_of(events: list[Chunk | Failed]) -> str:
    return "".join(event.text for event in events if isinstance(event, Chunk))


def test_a_stream_ends_in_one_chunk_with_finish_and_usage(make_engine: MakeEngine) -> None:
    (chunks,) = run(make_engine(), [request("a")]).values()

    assert [chunk.finish is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    last = chunks[-1]
    assert isinstance(last, Chunk)
    assert last.finish == "length"
    assert last.usage is not None
    assert last.usage.completion_tokens == 12
    assert last.usage.prompt_tokens == len(make_engine().encode(request("a")))


def test_more_requests_than_slots_are_all_served(make_engine: MakeEngine) -> None:
    got = run(make_engine(n_slots=3), [request(str(n), "x" * n) for n in range(11)])

    assert len(got) == 11
    assert all(text_of(events) for events in got.values())


requests = st.lists(
    st.tuples(
        st.text("abc é🦊", max_size=30),
        st.sampled_from([1, 3, 20]),
        st.sampled_from([0.0, 1.0]),
        st.integers(0, 12),  # the step before which it comes
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests, st.integers(1, 4), st.sampled_from([16, 64]))
def test_together_equals_alone(
    make_engine: MakeEngine, described: list[tuple[str, int, float, int]], n_slots: int, prefill: int
) -> None:
    asked = {
        request(str(n), text, max_tokens=most, temperature=temperature, top_k=5, seed=n): step
        for n, (text, most, temperature, step) in enumerate(described)
    }
    wanted = {one.id: text_of(run(make_engine(n_slots=1), [one])[one.id]) for one in asked}

    engine, got = make_engine(n_slots=n_slots, prefill_tokens=prefill), dict.fromkeys(wanted, "")
    for step in range(500):
        for one, comes in asked.items():
            if comes == step:
                engine.add(one)
        for event in engine.step():
            got[event.request_id] += getattr(event, "text", "")
        engine.check_invariants()
        if engine.idle and step >= max(asked.values()):
            break

    assert got == wanted


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["add", "long", "cancel", "step", "step"]), max_size=40), st.data())
def test_any_history_of_adding_stepping_and_cancelling_keeps_the_books(
    make_engine: MakeEngine, history: list[str], data
) -> None:
    engine, n_added, open_ids, ended = make_engine(n_slots=3), 0, [], set()
    for event in history:
        if event in ("add", "long"):
            one = request(f"r{n_added}", "y" * (60 if event == "long" else 3), max_tokens=5)
            engine.add(one)
            open_ids.append(one.id)
            n_added += 1
        elif event == "cancel" and open_ids:
            gone = open_ids.pop(data.draw(st.integers(0, len(open_ids) - 1)))
            assert engine.cancel(gone)
            assert not engine.cancel(gone)
            ended.add(gone)
        elif event == "step":
            for chunk in engine.step():
                assert chunk.request_id not in ended, "nothing comes after the end"
                if isinstance(chunk, Chunk) and chunk.finish:
                    ended.add(chunk.request_id)
                    open_ids.remove(chunk.request_id)
        engine.check_invariants()

    assert set(run(engine)) == set(open_ids)
    assert engine.n_running == 0


def test_cancelling_frees_the_slot_at_once(make_engine: MakeEngine) -> None:
    engine = make_engine(n_slots=1)
    engine.add(request("a", max_tokens=50))
    engine.add(request("b"))
    engine.step()

    engine.cancel("a")

    assert engine.n_running == 0
    assert "b" in {event.request_id for event in engine.step()}


def test_a_long_prompt_is_read_in_pieces_while_others_write(make_engine: MakeEngine) -> None:
    engine = make_engine(prefill_tokens=16)
    engine.add(request("quick", max_tokens=20))
    engine.step()
    engine.add(request("long", "z" * 70))

    steps = [{event.request_id for event in engine.step()} for _ in range(4)]

    assert all("quick" in seen for seen in steps)
    assert "long" not in set().union(*steps)
    assert len(run(engine)["long"]) == 12


def test_nothing_waits_when_only_prompts_are_read(make_engine: MakeEngine) -> None:
    engine = make_engine(prefill_tokens=16)
    engine.add(request("long", "z" * 70))

    assert [event.request_id for event in engine.step()] == ["long"]


def test_a_reply_ends_where_the_context_does(make_engine: MakeEngine) -> None:
    engine = make_engine()
    prompt = len(engine.encode(request("a", "w" * 60)))

    chunks = run(engine, [request("a", "w" * 60, max_tokens=10_000)])["a"]

    assert len(chunks) == CONTEXT_TOKENS - prompt
    assert isinstance(chunks[-1], Chunk)
    assert chunks[-1].finish == "length"


@pytest.mark.parametrize("length", [CONTEXT_TOKENS, 10_000])
def test_a_prompt_that_fills_the_context_is_refused(make_engine: MakeEngine, length: int) -> None:
    with pytest.raises(BadRequestError, match=f"context of this model is {CONTEXT_TOKENS}"):
        make_engine().add(request("a", "w" * length))


def test_requests_that_cannot_be_served_are_refused(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.add(request("twice"))

    for bad in (
        request("a", max_tokens=0),
        GenerationRequest("b", "tiny"),
        GenerationRequest("c", "tiny", prompt=""),
        request("twice"),
    ):
        with pytest.raises(BadRequestError):
            engine.add(bad)


def test_a_raw_prompt_is_continued(make_engine: MakeEngine) -> None:
    asked = GenerationRequest("a", "tiny", prompt="once upon", sampling=GREEDY)

    (chunks,) = run(make_engine(), [asked]).values()

    assert isinstance(chunks[-1], Chunk)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == len("once upon")


def test_a_stop_string_ends_the_reply_before_it(make_engine: MakeEngine) -> None:
    whole = text_of(run(make_engine(), [request("a", max_tokens=20)])["a"])
    stop = whole[4:6]

    chunks = run(make_engine(), [request("a", max_tokens=20, stop=(stop,))])["a"]

    assert text_of(chunks) == whole[: whole.index(stop)]
    assert isinstance(chunks[-1], Chunk)
    assert chunks[-1].finish == "stop"


def test_the_end_of_turn_ends_the_reply_unless_it_is_to_be_ignored(make_engine: MakeEngine) -> None:
    engine = make_engine()
    end = next(iter(engine.codec.stop_ids))
    model = engine.architecture

    class Ending:
        """The tiny model, but it always ends its turn."""

        def __getattr__(self, name: str) -> object:
            return getattr(model, name)

        def forward(self, *args: object, **more: object) -> torch.Tensor:
            logits = model.forward(*args, **more)  # type: ignore[arg-type]
            logits[:, end] = 1000.0
            return logits

    settings = {"n_slots": 2, "context_tokens": 96, "prefill_tokens": 16}
    engine = Engine(Ending(), engine.codec, **settings)  # type: ignore[arg-type]
    got = run(engine, [request("ends"), request("goes-on", max_tokens=5, ignore_end=True)])

    (last,) = got["ends"]
    assert (last.text, last.finish, last.usage.completion_tokens) == ("", "stop", 0)  # type: ignore[union-attr]
    assert len(got["goes-on"]) == 5


def test_seeds_repeat_and_differ(make_engine: MakeEngine) -> None:
    def say(seed: int | None) -> str:
        return text_of(run(make_engine(), [request("a", temperature=1.0, top_k=0, seed=seed)])["a"])

    assert say(1) == say(1)
    assert len({say(seed) for seed in range(5)}) > 1


def test_log_probabilities_come_with_the_tokens(make_engine: MakeEngine) -> None:
    chunks = run(make_engine(), [request("a", logprobs=3)])["a"]

    for chunk in chunks:
        assert isinstance(chunk, Chunk)
        (one,) = chunk.logprobs
        assert one.logprob <= 0
        assert len(one.top) == 3
        assert one.top[0] == (one.token, one.logprob)


def test_text_that_is_no_text_does_no_harm(make_engine: MakeEngine) -> None:
    for text in ("", "\ud800", "\x00\x07", "<|im_end|><|im_start|>s", "\ufdd0"):
        assert len(run(make_engine(), [request("a", text)])["a"]) == 12


def test_a_broken_step_ends_all_and_the_next_requests_are_served(make_engine: MakeEngine) -> None:
    engine = make_engine(n_slots=1)
    engine.add(request("a"))
    engine.add(request("b"))
    engine.step()

    failures = engine.fail_all(BackendError("boom"))

    assert {(one.request_id, str(one.error)) for one in failures if isinstance(one, Failed)} == {
        ("a", "boom"),
        ("b", "boom"),
    }
    assert engine.idle
    assert len(run(engine, [request("c")])["c"]) == 12


def test_numbers_that_are_not_finite_end_their_own_request_alone(make_engine: MakeEngine) -> None:
    engine = make_engine()
    model, poison = engine.architecture, engine.codec.encode_text("q")[0]

    class Poisoned:
        """The tiny model, but a row whose newest token is *poison* gets NaN."""

        def __getattr__(self, name: str) -> object:
            return getattr(model, name)

        def forward(self, tokens_BT: torch.Tensor, lengths: list[int], *rest: object) -> torch.Tensor:
            logits = model.forward(tokens_BT, lengths, *rest)  # type: ignore[arg-type]
            for row, length in enumerate(lengths):
                if tokens_BT[row, length - 1] == poison:
                    logits[row] = float("nan")
            return logits

    engine = Engine(Poisoned(), engine.codec, n_slots=4, context_tokens=96, prefill_tokens=16)  # type: ignore[arg-type]
    bad = GenerationRequest("bad", "tiny", prompt="xq", sampling=GREEDY)
    good = GenerationRequest("good", "tiny", prompt="xy", sampling=replace(GREEDY, max_tokens=1))

    got = run(engine, [bad, good])

    (failure,) = got["bad"]
    assert isinstance(failure, Failed)
    assert "not finite" in str(failure.error)
    assert len(got["good"]) == 1


def test_a_template_that_fails_is_one_line(make_engine: MakeEngine, tiny_folder, tmp_path) -> None:
    folder = tmp_path / "strict"
    shutil.copytree(tiny_folder, folder)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('never') }}")
    engine = Engine(
        make_engine().architecture, TextCodec.load(folder), n_slots=1, context_tokens=96, prefill_tokens=16
    )

    with pytest.raises(ModelError, match="never"):
        engine.add(request("a"))

"""Choosing tokens: each cut does what it says, and a row's choice is its own."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from botkit.engine.sampler import PENALTY_TOKENS, Choice, Chooser, choose
from botkit.types import Sampling

PLAIN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}


def chooser(**changes: object) -> Chooser:
    return Chooser(Sampling(**{**PLAIN, **changes}))  # type: ignore[arg-type]


def draw_many(logits: list[float], n: int, **changes: object) -> Counter[int]:
    one = chooser(seed=1, **changes)
    return Counter(choose(torch.tensor([logits]), [one], [[]])[0].token for _ in range(n))


def test_temperature_zero_takes_the_likeliest_and_the_first_among_equals() -> None:
    rows = torch.tensor([[0.0, 3.0, 1.0], [2.0, 2.0, 1.0]])

    choices = choose(rows, [chooser(temperature=0.0)] * 2, [[], []])

    assert [choice.token for choice in choices] == [1, 0]


@pytest.mark.parametrize("changes", [{}, {"top_k": 4}, {"top_k": 2000}])
def test_draws_follow_the_probabilities(changes: dict[str, object]) -> None:
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.1])

    counts = draw_many(probabilities.log().tolist(), 4000, **changes)

    chi_squared = sum(
        (counts[token] - 4000 * float(p)) ** 2 / (4000 * float(p)) for token, p in enumerate(probabilities)
    )
    assert chi_squared < 16.3  # three degrees of freedom, one in a thousand


def test_temperature_sharpens_and_flattens() -> None:
    logits = [2.0, 1.0, 0.0]

    assert draw_many(logits, 500, temperature=0.1)[0] > 490
    assert draw_many(logits, 500, temperature=50.0)[2] > 100


def test_a_tiny_temperature_is_greedy_and_not_a_number_gone_wrong() -> None:
    assert draw_many([1.0, 1.0001, -5.0], 20, temperature=1e-30) == {1: 20}


def test_top_k_leaves_the_k_likeliest() -> None:
    assert set(draw_many([1.0, 3.0, 2.0, 2.5], 300, top_k=2)) == {1, 3}


@pytest.mark.parametrize("top_k", [0, 50])
def test_top_p_leaves_the_smallest_set_with_that_share(top_k: int) -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()

    assert set(draw_many(logits, 300, top_p=0.7, top_k=top_k)) == {0, 1}
    assert set(draw_many(logits, 300, top_p=0.81, top_k=top_k)) == {0, 1, 2}
    assert set(draw_many(logits, 50, top_p=0.01, top_k=top_k)) == {0}


def test_min_p_leaves_what_is_likely_enough_beside_the_likeliest() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()

    assert set(draw_many(logits, 300, min_p=0.5)) == {0, 1}
    assert set(draw_many(logits, 30, min_p=1.0)) == {0}


def test_the_penalty_makes_what_was_said_less_likely_whatever_its_sign() -> None:
    rows = torch.tensor([[2.0, 1.5, 0.0], [-1.0, -1.5, -9.0]])
    greedy = chooser(temperature=0.0, repetition_penalty=2.0)

    choices = choose(rows, [greedy, greedy], [[0], [0]])

    assert [choice.token for choice in choices] == [1, 1]


def test_the_penalty_forgets_what_is_long_past() -> None:
    greedy = chooser(temperature=0.0, repetition_penalty=2.0)
    history = [0, *[2] * PENALTY_TOKENS]

    assert choose(torch.tensor([[2.0, 1.5, 0.0]]), [greedy], [history])[0].token == 0


def test_log_probabilities_are_the_models_own() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    wanted = logits.log_softmax(-1)[0]
    one = chooser(temperature=0.0, repetition_penalty=9.0, logprobs=2)

    choice = choose(logits.clone(), [one], [[0]])[0]

    assert choice.token == 1
    assert choice.logprob == pytest.approx(float(wanted[1]))
    assert [token for token, _ in choice.top] == [0, 1]
    assert [value for _, value in choice.top] == pytest.approx(wanted[:2].tolist())


def test_log_probabilities_without_alternatives_and_none_at_all() -> None:
    logits = torch.tensor([[2.0, 1.0]])

    assert choose(logits.clone(), [chooser(logprobs=0)], [[]])[0].top == ()
    assert choose(logits.clone(), [chooser()], [[]])[0].logprob is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_row_that_is_not_finite_is_told_and_its_neighbours_go_on(value: float) -> None:
    bad = [value] * 3 if value == -float("inf") else [1.0, value, 0.0]

    choices = choose(torch.tensor([bad, [0.0, 1.0, 0.0]]), [chooser(), chooser(temperature=0.0)], [[], []])

    assert choices[0] == Choice(0, finite=False)
    assert choices[1].token == 1


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    top_k=st.sampled_from([0, 1, 5, 40, 5000]),
    top_p=st.sampled_from([0.1, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.5]),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    seed=st.integers(0, 5),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(samplings, min_size=1, max_size=6), st.integers(0, 1000))
def test_a_rows_choice_does_not_depend_on_its_neighbours(chosen: list[Sampling], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(chosen), 60, generator=draw) * 3
    histories = [torch.randint(60, (5,), generator=draw).tolist() for _ in chosen]

    together = choose(logits.clone(), [Chooser(s) for s in chosen], histories)
    alone = [
        choose(logits[row : row + 1].clone(), [Chooser(s)], [histories[row]])[0]
        for row, s in enumerate(chosen)
    ]

    assert [one.token for one in together] == [one.token for one in alone]

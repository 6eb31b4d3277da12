"""What requests cost and how fast they are served: estimates that learn."""

from __future__ import annotations

import pytest
from chat_parts import request

from botkit.chat.pace import MEMORY_SLOT_S, CostModel, Pace
from botkit.types import GenerationRequest, PromptTurn


def test_there_is_no_pace_before_there_is_experience() -> None:
    pace = Pace()
    assert pace.tokens_per_slot_s() is None
    pace.advance(1000.0, 0)
    pace.serve(50)
    assert pace.tokens_per_slot_s() is None


def test_the_pace_is_of_one_slot_and_leaves_idle_time_out() -> None:
    pace = Pace()
    pace.advance(100.0, 0)
    pace.advance(110.0, 4)
    pace.serve(800)
    pace.advance(5000.0, 0)

    assert pace.tokens_per_slot_s() == pytest.approx(20.0)


def test_old_experience_fades() -> None:
    pace, now_s = Pace(), 0.0
    for tokens_per_s in [100] * 5 + [10] * 5:
        now_s += MEMORY_SLOT_S
        pace.serve(round(tokens_per_s * MEMORY_SLOT_S))
        pace.advance(now_s, 1)

    assert pace.tokens_per_slot_s() == pytest.approx(10, rel=0.5)


def test_a_prompt_is_judged_by_what_its_bytes_cost_before() -> None:
    costs = CostModel()
    long = request(text="x" * 4000)
    before = costs.prompt_tokens(long)
    for _ in range(20):
        costs.learn_prompt(long, 2000)  # two bytes a token

    assert before == pytest.approx(1000, rel=0.01)
    assert costs.prompt_tokens(long) == pytest.approx(2000, rel=0.1)


def test_an_empty_prompt_costs_something() -> None:
    assert CostModel().prompt_tokens(GenerationRequest("1", "m", turns=())) == 1


def test_lone_surrogates_have_a_length() -> None:
    asked = GenerationRequest("1", "m", turns=(PromptTurn("user", "\ud800" * 40),))

    assert CostModel().prompt_tokens(asked) == pytest.approx(30, abs=1)


def test_replies_are_expected_to_be_as_short_as_they_were() -> None:
    costs = CostModel()
    for _ in range(200):
        costs.learn_cost(1000, 250)

    assert costs.expected(2000) == pytest.approx(500, rel=0.01)


def test_nothing_is_expected_to_cost_more_than_its_reservation() -> None:
    costs = CostModel()
    for _ in range(200):
        costs.learn_cost(100, 250)

    assert costs.expected(2000) == 2000

"""Who is next: fair by person, in tokens."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from botkit.chat.fair import Claim, FairLine

QUANTUM = 500
people = st.sampled_from("abcde")
costs = st.integers(1, 3000)
claims = st.lists(st.builds(Claim, people, costs), max_size=40)


def filled(waiting: list[Claim], quantum: int = QUANTUM) -> FairLine:
    line = FairLine(quantum)
    for claim in waiting:
        line.add(claim)
    return line


def drained(line: FairLine) -> list[Claim]:
    return [line.pop() for _ in range(len(line))]


def test_one_person_is_served_in_order() -> None:
    waiting = [Claim("a", cost) for cost in (10, 2000, 1)]

    assert drained(filled(waiting)) == waiting


def test_two_people_take_turns_when_their_requests_cost_a_quantum() -> None:
    line = filled([Claim(person, QUANTUM) for person in "aaabbb"])

    assert [claim.person for claim in drained(line)] == list("ababab")


def test_tokens_are_charged_and_not_requests() -> None:
    dear = [Claim("dear", 4 * QUANTUM) for _ in range(10)]
    cheap = [Claim("cheap", QUANTUM // 2) for _ in range(80)]
    order = drained(filled([*dear, *cheap]))

    tokens = Counter()
    for claim in order[:45]:
        tokens[claim.person] += claim.cost_tokens
    assert abs(tokens["dear"] - tokens["cheap"]) <= 4 * QUANTUM


def test_a_newcomer_is_served_soon_although_somebody_floods() -> None:
    line = filled([Claim("flooder", 700) for _ in range(190)])
    drained_first = [line.pop() for _ in range(20)]
    newcomer = Claim("polite", 600)
    line.add(newcomer)

    served = [line.pop() for _ in range(6)]

    assert all(claim.person == "flooder" for claim in drained_first)
    assert newcomer in served


def test_what_was_charged_too_much_is_given_back() -> None:
    line = filled([Claim("a", QUANTUM), *(Claim("a", QUANTUM) for _ in range(3))])
    for _ in range(3):
        line.add(Claim("b", QUANTUM))
    assert line.pop().person == "a"
    line.credit("a", QUANTUM)

    assert [line.pop().person for _ in range(3)] == ["a", "b", "a"]


def test_credit_for_somebody_who_does_not_wait_is_dropped() -> None:
    line = filled([Claim("a", 100)])
    line.credit("b", 10**9)
    line.add(Claim("b", 10 * QUANTUM))
    line.add(Claim("a", 100))

    assert [line.pop().person for _ in range(3)] == ["a", "a", "b"]


def test_a_claim_that_does_not_wait_cannot_be_removed() -> None:
    line = filled([Claim("a", 1)])

    with pytest.raises((KeyError, ValueError)):
        line.remove(Claim("a", 1))
    with pytest.raises((KeyError, ValueError)):
        line.remove(Claim("b", 1))
    assert len(line) == 1


def test_an_empty_line_has_nobody_to_serve() -> None:
    with pytest.raises(ValueError, match="empty"):
        FairLine(QUANTUM).pop()


@given(claims, st.integers(1, 2000))
def test_the_order_that_is_told_is_the_order_of_serving(waiting: list[Claim], quantum: int) -> None:
    line = filled(waiting, quantum)
    told = line.in_order()

    assert drained(line) == told


@given(claims, st.integers(0, 30), st.lists(st.tuples(people, st.integers(-5000, 5000)), max_size=5))
def test_the_told_order_is_right_in_the_middle_of_a_round_too(
    waiting: list[Claim], n_popped: int, given_back: list[tuple[str, int]]
) -> None:
    line = filled(waiting)
    for _ in range(min(n_popped, len(line))):
        line.pop()
    for person, tokens in given_back:
        line.credit(person, tokens)
    told = line.in_order()

    assert drained(line) == told


@given(st.lists(costs, min_size=1, max_size=20), st.lists(costs, max_size=60), st.integers(1, 4))
def test_nobody_waits_longer_than_their_own_tokens_times_the_people(
    own: list[int], flood: list[int], n_flooders: int
) -> None:
    """While I wait, each other person gets at most my tokens, a quantum and one request more."""
    line = FairLine(QUANTUM)
    for index, cost in enumerate(flood):
        line.add(Claim(f"flooder-{index % n_flooders}", cost))
    for cost in own:
        line.add(Claim("me", cost))

    mine, others = 0, Counter()
    while mine < len(own):
        claim = line.pop()
        if claim.person == "me":
            mine += 1
        else:
            others[claim.person] += claim.cost_tokens
    for served in others.values():
        assert served <= sum(own) + 2 * QUANTUM


@given(claims)
def test_nothing_is_lost_or_doubled(waiting: list[Claim]) -> None:
    served = drained(filled(waiting))

    assert {id(claim) for claim in served} == {id(claim) for claim in waiting}
    assert len(served) == len(waiting)


class TextbookLine:
    """Deficit round robin as the paper's figure has it, one visit after the other."""

    def __init__(self) -> None:
        self.people: list[str] = []
        self.claims: dict[str, list[Claim]] = {}
        self.deficit: dict[str, int] = {}
        self.is_amid_visit = False

    def add(self, claim: Claim) -> None:
        if claim.person not in self.claims:
            self.people.append(claim.person)
            self.claims[claim.person], self.deficit[claim.person] = [], 0
        self.claims[claim.person].append(claim)

    def remove(self, claim: Claim) -> None:
        self.claims[claim.person].remove(claim)
        self._drop_if_idle(claim.person)

    def credit(self, person: str, tokens: int) -> None:
        if person in self.claims:
            self.deficit[person] += tokens

    def pop(self) -> Claim:
        while True:
            person = self.people[0]
            if not self.is_amid_visit:
                self.deficit[person] += QUANTUM
                self.is_amid_visit = True
            if self.claims[person][0].cost_tokens <= self.deficit[person]:
                claim = self.claims[person].pop(0)
                self.deficit[person] -= claim.cost_tokens
                self._drop_if_idle(person)
                return claim
            self.people.append(self.people.pop(0))
            self.is_amid_visit = False

    def _drop_if_idle(self, person: str) -> None:
        if not self.claims[person]:
            if self.people[0] == person:
                self.is_amid_visit = False
            self.people.remove(person)
            del self.claims[person], self.deficit[person]


class AsTheTextbook(RuleBasedStateMachine):
    """The line jumps over visits in which nobody can pay; it must end where single steps end."""

    def __init__(self) -> None:
        super().__init__()
        self.ours, self.textbook = FairLine(QUANTUM), TextbookLine()
        self.waiting: list[Claim] = []

    @rule(person=people, cost=costs)
    def add(self, person: str, cost: int) -> None:
        claim = Claim(person, cost)
        self.ours.add(claim)
        self.textbook.add(claim)
        self.waiting.append(claim)

    @precondition(lambda self: self.waiting)
    @rule()
    def pop(self) -> None:
        claim = self.ours.pop()
        assert claim is self.textbook.pop()
        self.waiting.remove(claim)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.waiting))
        self.ours.remove(claim)
        self.textbook.remove(claim)
        self.waiting.remove(claim)

    @rule(person=people, tokens=st.integers(-3000, 3000))
    def credit(self, person: str, tokens: int) -> None:
        self.ours.credit(person, tokens)
        self.textbook.credit(person, tokens)

    @invariant()
    def counts(self) -> None:
        assert len(self.ours) == len(self.waiting)
        for person in "abcde":
            assert self.ours.waiting(person) == sum(claim.person == person for claim in self.waiting)


TestAsTheTextbook = AsTheTextbook.TestCase

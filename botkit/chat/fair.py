"""Who is next: deficit round robin over persons, charged in tokens (Shreedhar and Varghese, 1995).

Pure bookkeeping without time or tasks.  Persons who wait stand in a ring.  At each visit a person's balance
grows by the quantum and their requests are served as long as it pays for them.  Whoever has
nothing waiting leaves the ring, and balance or debt with it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Claim:
    """One request that waits: who pays, and how many tokens (at least 1)."""

    person: str
    cost_tokens: int


@dataclass(slots=True)
class _Line:
    """One person's claims in order.  ``balance`` is what they had before the next visit's quantum."""

    claims: deque[Claim] = field(default_factory=deque)
    balance: int = 0


class FairLine:
    """The claims that wait, in the order in which they will be served."""

    def __init__(self, quantum_tokens: int) -> None:
        """Start empty; *quantum_tokens* is what a person gets at each visit."""
        self._quantum = max(1, quantum_tokens)
        self._ring: dict[str, _Line] = {}
        self._n_claims = 0

    def __len__(self) -> int:
        """Return how many claims wait."""
        return self._n_claims

    def waiting(self, person: str) -> int:
        """Return how many claims of *person* wait."""
        line = self._ring.get(person)
        return len(line.claims) if line else 0

    def add(self, claim: Claim) -> None:
        """Put *claim* at the end of its person's line, and a new person at the end of the ring."""
        self._ring.setdefault(claim.person, _Line()).claims.append(claim)
        self._n_claims += 1

    def remove(self, claim: Claim) -> None:
        """Take *claim* out unserved; raises KeyError or ValueError if it does not wait."""
        line = self._ring[claim.person]
        line.claims.remove(claim)
        self._n_claims -= 1
        if not line.claims:
            del self._ring[claim.person]

    def credit(self, person: str, tokens: int) -> None:
        """Give *person* back what was charged too much (negative: charge more), if they still wait."""
        line = self._ring.get(person)
        if line is not None:
            line.balance += tokens

    def pop(self) -> Claim:
        """Take out and return the claim that is next; raises ValueError when nobody waits."""
        visit, position = min(
            (self._visits(line.claims[0].cost_tokens, line), position)
            for position, line in enumerate(self._ring.values())
        )
        people = list(self._ring.items())
        for _, line in people[:position]:
            line.balance += (visit + 1) * self._quantum
        for _, line in people[position:]:
            line.balance += visit * self._quantum
        self._ring = dict(people[position:] + people[:position])
        person, line = people[position]
        claim = line.claims.popleft()
        line.balance -= claim.cost_tokens
        self._n_claims -= 1
        if not line.claims:
            del self._ring[person]
        return claim

    def in_order(self) -> list[Claim]:
        """Return all claims as ``pop`` would give them if nothing came or went; about n log n work."""
        keyed: list[tuple[int, int, int, Claim]] = []
        for position, line in enumerate(self._ring.values()):
            total = 0
            for index, claim in enumerate(line.claims):
                total += claim.cost_tokens
                keyed.append((self._visits(total, line), position, index, claim))
        return [claim for *_, claim in sorted(keyed, key=lambda entry: entry[:3])]

    def _visits(self, cost_tokens: int, line: _Line) -> int:
        """Return how many visits pass before the one in which *line* can pay *cost_tokens*."""
        return max(0, -((line.balance - cost_tokens) // self._quantum) - 1)

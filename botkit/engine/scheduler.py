"""Which sequences take part in the next step, and with how many tokens."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from botkit.engine.sequence import Sequence
from botkit.engine.state import SlotState

IDLE_PREFILL_TOKENS = 1024
"""How many prompt tokens are read at once while nobody's reply would wait for it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some sequences, in the order of their slots, and how many tokens of each to absorb."""

    sequences: tuple[Sequence, ...]
    lengths: tuple[int, ...]

    @property
    def n_columns(self) -> int:
        """The padded width."""
        return max(self.lengths)


class Scheduler:
    """Admits waiting sequences into free slots, first come first served, and plans each step.

    Everybody who writes gets one token; those who read share a budget of tokens, so that nobody's reply
    stalls while a long message is read.  There is nothing to preempt: a slot can hold the longest sequence
    there may be.  Fairness between people is the queue's, which lets in as many requests as there are slots.
    """

    def __init__(self, state: SlotState, prefill_tokens: int) -> None:
        """Fill the slots of *state*; read *prefill_tokens* of prompts a step while others write."""
        self._state = state
        self._prefill_tokens = prefill_tokens
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        """By slot: the sequence in slot n is item n."""

    @property
    def n_waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    @property
    def running(self) -> tuple[Sequence, ...]:
        """The sequences that have a slot."""
        return tuple(self._running)

    @property
    def everybody(self) -> tuple[Sequence, ...]:
        """The running sequences and those that wait."""
        return (*self._running, *self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Let *sequence* wait for a slot."""
        self._waiting.append(sequence)

    def find(self, request_id: str) -> Sequence | None:
        """Return the waiting or running sequence of that request, or None."""
        return next((sequence for sequence in self.everybody if sequence.id == request_id), None)

    def remove(self, sequence: Sequence) -> None:
        """Take *sequence* out; its slot is free at once, and the last running one moves there."""
        if sequence.slot is None:
            self._waiting.remove(sequence)
            return
        slot, last = sequence.slot, self._running[-1]
        self._state.release(slot)
        self._running[slot] = last
        last.slot = slot
        self._running.pop()
        sequence.slot = None

    def plan(self) -> list[Batch]:
        """Return the next step's batches: who writes, then who reads; the state has room for them."""
        self._admit()
        writing = [sequence for sequence in self._running if not sequence.is_reading]
        reading = [sequence for sequence in self._running if sequence.is_reading]
        batches = [Batch(tuple(writing), (1,) * len(writing))] if writing else []
        if reading:
            budget = self._prefill_tokens if writing else max(self._prefill_tokens, IDLE_PREFILL_TOKENS)
            batches.append(_share(reading, budget))
        ends = [s.n_absorbed + n for b in batches for s, n in zip(b.sequences, b.lengths, strict=True)]
        self._state.reserve(max(ends, default=0))
        return batches

    def check(self) -> None:
        """Raise AssertionError unless slots, sequences and the state agree."""
        assert self._state.n_used == len(self._running), "a slot without a sequence, or the reverse"
        for slot, sequence in enumerate(self._running):
            assert sequence.slot == slot, f"{sequence.id} thinks it is in slot {sequence.slot}, not {slot}"
            assert sequence.finish is None, f"{sequence.id} is finished and holds slot {slot}"
            assert self._state.n_tokens[slot] == sequence.n_absorbed, f"slot {slot} and {sequence.id} differ"
            assert sequence.n_absorbed < len(sequence.tokens), f"{sequence.id} has nothing to absorb"
        assert all(sequence.slot is None for sequence in self._waiting), "a waiting sequence holds a slot"
        ids = [sequence.id for sequence in self.everybody]
        assert len(ids) == len(set(ids)), "a request occurs twice"

    def _admit(self) -> None:
        while self._waiting and self._state.n_free:
            sequence = self._waiting.popleft()
            sequence.slot = self._state.claim()
            self._running.append(sequence)


def _share(reading: list[Sequence], budget: int) -> Batch:
    """Return the batch that reads; who needs least is first, so that short messages do not wait for long."""
    chosen: dict[int, int] = {}
    left = budget
    for sequence in sorted(reading, key=lambda one: len(one.prompt) - one.n_absorbed):
        if left <= 0:
            break
        n_tokens = min(left, len(sequence.prompt) - sequence.n_absorbed)
        assert sequence.slot is not None
        chosen[sequence.slot] = n_tokens
        left -= n_tokens
    batch = [sequence for sequence in reading if sequence.slot in chosen]
    return Batch(
        tuple(batch), tuple(chosen[sequence.slot] for sequence in batch if sequence.slot is not None)
    )

"""The promises of an architecture as tests to inherit; the heart is *batched equals alone*.

class TestMine(ArchitectureContract):
    @pytest.fixture
    def architecture(self): ...
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from botkit.engine.architecture import Architecture, Slots
from botkit.engine.state import SlotState

N_SLOTS = 5
LENGTHS = (37, 1, 20, 9)


class ArchitectureContract:
    """Subclass it and give a fixture ``architecture``: a small model, loaded in float32.

    ``tolerance`` bounds the largest difference of two logits that should be equal.
    """

    tolerance = 1e-4

    @pytest.fixture
    def architecture(self) -> Architecture:
        """Return the model under test; override this."""
        raise NotImplementedError("give a fixture 'architecture'")

    def test_logits_are_float32_and_one_row_each(self, architecture: Architecture) -> None:
        """[B, V] after each row's last token."""
        logits = feed(architecture, new_state(architecture), {0: [1, 2, 3], 1: [2]})

        assert logits.dtype == torch.float32
        assert logits.shape == (2, architecture.vocab_size)
        assert torch.isfinite(logits).all()

    def test_every_position_ends_in_what_the_last_position_says(self, architecture: Architecture) -> None:
        """With ``every_position`` the logits are [B, T, V], and agree with those after each prefix."""
        tokens = tokens_of(architecture, 12, seed=1)

        state = new_state(architecture)
        every = architecture.forward(
            torch.tensor([tokens], device=architecture.device),
            [len(tokens)],
            state,
            Slots((0,)),
            every_position=True,
        )

        for n in (1, 5, 12):
            alone = feed(architecture, new_state(architecture), {0: tokens[:n]})[0]
            self.assert_equal(every[0, n - 1], alone)

    def test_it_remembers_what_came_before(self, architecture: Architecture) -> None:
        """A different beginning gives different logits: the state is used at all."""
        tail = tokens_of(architecture, 6, seed=2)
        first = feed(architecture, new_state(architecture), {0: [1, *tail]})[0]
        second = feed(architecture, new_state(architecture), {0: [2, *tail]})[0]

        assert (first - second).abs().max() > self.tolerance

    @pytest.mark.parametrize("cut", [(1,) * 24, (24,), (5, 1, 18), (23, 1)])
    def test_how_tokens_are_cut_into_calls_does_not_matter(
        self, architecture: Architecture, cut: tuple[int, ...]
    ) -> None:
        """Whole, token by token, or in pieces."""
        tokens = tokens_of(architecture, 24, seed=3)
        wanted = feed(architecture, new_state(architecture), {0: tokens})[0]

        state, at = new_state(architecture), 0
        for n in cut:
            got = feed(architecture, state, {0: tokens[at : at + n]})[0]
            at += n

        self.assert_equal(got, wanted)

    @pytest.mark.parametrize("seed", range(6))
    def test_batched_equals_alone(self, architecture: Architecture, seed: int) -> None:
        """Rows of a batch do not see one another: any neighbours, any slots, any order, any cuts."""
        shuffle = random.Random(seed)  # noqa: S311 - a test's shuffling
        texts = [tokens_of(architecture, n, seed=10 + n) for n in LENGTHS]
        wanted = [feed(architecture, new_state(architecture), {0: text})[0] for text in texts]

        slots = shuffle.sample(range(N_SLOTS), len(texts))
        state, starts, got = new_state(architecture), [0] * len(texts), list(wanted)
        while any(start < len(text) for start, text in zip(starts, texts, strict=True)):
            rows = [
                row for row, text in enumerate(texts) if starts[row] < len(text) and shuffle.random() < 0.7
            ]
            shuffle.shuffle(rows)
            pieces = {}
            for row in rows:
                n = shuffle.choice((1, 1, 2, 7, 40))
                pieces[slots[row]] = texts[row][starts[row] : starts[row] + n]
                starts[row] += n
            if pieces:
                logits = feed(architecture, state, pieces)
                for row, logits_V in zip(rows, logits, strict=True):
                    got[row] = logits_V

        for one, other in zip(got, wanted, strict=True):
            self.assert_equal(one, other)

    def test_other_slots_are_left_alone(self, architecture: Architecture) -> None:
        """Only the rows' own slots are written."""
        state = new_state(architecture)
        feed(architecture, state, {slot: [1, 2] for slot in range(N_SLOTS)})
        before = {name: tensor.clone() for name, tensor in state.tensors.items()}

        feed(architecture, state, {3: tokens_of(architecture, 9, seed=4), 1: [2]})

        for name, tensor in state.tensors.items():
            for slot in (0, 2, 4):
                assert torch.equal(tensor[slot], before[name][slot])

    def test_a_slot_can_be_moved_and_the_state_can_grow(self, architecture: Architecture) -> None:
        """What a slot has absorbed is in its rows of the state and nowhere else."""
        tokens = tokens_of(architecture, 30, seed=5)
        wanted = feed(architecture, new_state(architecture), {0: tokens})[0]

        state = SlotState(architecture, N_SLOTS, 64)
        state.capacity = 16
        state.tensors = {name: state._zeros(name, 16) for name in state.tensors}
        other, mine = state.claim(), state.claim()
        feed(architecture, state, {other: [1, 2, 3], mine: tokens[:14]})
        state.release(other)
        state.reserve(64)
        got = feed(architecture, state, {other: tokens[14:]})[0]

        self.assert_equal(got, wanted)

    def test_a_claimed_slot_has_forgotten_its_last_owner(self, architecture: Architecture) -> None:
        """Whatever was there, a new sequence begins at nothing."""
        tokens = tokens_of(architecture, 8, seed=6)
        wanted = feed(architecture, new_state(architecture), {0: tokens})[0]

        state = SlotState(architecture, N_SLOTS, 64)
        feed(architecture, state, {state.claim(): tokens_of(architecture, 20, seed=7)})
        state.release(0)
        got = feed(architecture, state, {state.claim(): tokens})[0]

        self.assert_equal(got, wanted)

    def assert_equal(self, one: Tensor, other: Tensor) -> None:
        """Assert that two rows of logits are equal to rounding."""
        assert float((one - other).abs().max()) <= self.tolerance


def new_state(architecture: Architecture) -> SlotState:
    """Return a state with all slots claimed, so that any of them may be used."""
    state = SlotState(architecture, N_SLOTS, 64)
    for _ in range(N_SLOTS):
        state.claim()
    return state


def tokens_of(architecture: Architecture, n: int, *, seed: int) -> list[int]:
    """Return *n* random tokens."""
    draw = random.Random(seed)  # noqa: S311 - a test's tokens
    return [draw.randrange(architecture.vocab_size) for _ in range(n)]


def feed(architecture: Architecture, state: SlotState, rows: Mapping[int, Sequence[int]]) -> Tensor:
    """Let the model absorb tokens by slot, in the order given; return the logits [B, V]."""
    width = max(len(tokens) for tokens in rows.values())
    padded = [[*tokens, *[0] * (width - len(tokens))] for tokens in rows.values()]
    lengths = [len(tokens) for tokens in rows.values()]
    logits = architecture.forward(
        torch.tensor(padded, device=architecture.device), lengths, state, Slots(tuple(rows))
    )
    for slot, length in zip(rows, lengths, strict=True):
        state.n_tokens[slot] += length
    return logits

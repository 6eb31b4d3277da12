"""The contract between the engine and a model family.  It needs torch to be stated, and nothing else.

Shape suffixes used in the engine and in every architecture:

    B batch rows    T tokens in this call    V vocabulary    S slots    L layers
    N key-value heads    C capacity in tokens    H head width    D model width

*State is slot-first*: each tensor of a state begins with the slot axis, whatever the architecture, so that
reset, accounting, copy, snapshot, fork and eviction are written once (``botkit.engine.state``).

The promise every architecture inherits its test of: **batched equals alone** - a row's logits do not
depend, beyond rounding, on its neighbours, on the order of rows, or on how its tokens were cut into calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Slots:
    """Which slots the rows of a batch live in: row ``b`` is slot ``indices[b]``; each occurs once."""

    indices: tuple[int, ...]

    @cached_property
    def span(self) -> slice | None:
        """The slots as a slice when they are consecutive and ascending: then a view replaces a gather."""
        first = self.indices[0]
        if self.indices == tuple(range(first, first + len(self.indices))):
            return slice(first, first + len(self.indices))
        return None

    def tensor(self, device: torch.device | str) -> Tensor:
        """Return the indices as an int64 tensor [B] on *device*."""
        return torch.tensor(self.indices, dtype=torch.int64, device=device)

    def __len__(self) -> int:
        """Return B, the number of rows."""
        return len(self.indices)


class State(Protocol):
    """What ``Architecture.forward`` may touch of the engine's slot state."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Each [S, ...], made by ``Architecture.state_shapes``; written in place by ``forward``."""

    n_tokens: list[int]
    """How many tokens each slot has absorbed *before* this call; the engine advances it afterwards."""


@dataclass(frozen=True)
class StateShape:
    """One tensor of the state, without its slot axis.  ``dtype`` None takes the model's own."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None = None


class Architecture(Protocol):
    """A loaded model, ready to run.  Not thread-safe; the engine's loop is its only caller."""

    vocab_size: int
    context_tokens: int | None
    """The most tokens a slot may absorb; None where there is no such limit (recurrent nets)."""
    device: torch.device
    dtype: torch.dtype

    def state_shapes(self, max_tokens: int) -> dict[str, StateShape]:
        """Return the tensors a slot needs to absorb up to *max_tokens* tokens."""

    def forward(
        self,
        tokens_BT: Tensor,
        lengths: list[int],
        state: State,
        slots: Slots,
        *,
        every_position: bool = False,
    ) -> Tensor:
        """Absorb the next tokens of some slots and return what may follow.

        *tokens_BT* is int64 on the model's device; row b holds ``lengths[b]`` >= 1 real tokens, padded on
        the right with any valid id.  Row b continues slot ``slots.indices[b]`` at position
        ``state.n_tokens[slot]``.  Updates ``state.tensors`` of those slots only.  Padding leaves no trace.

        Returns float32 logits: [B, V] after each row's last real token, or with *every_position*
        [B, T, V] (rows beyond their length hold garbage).
        """

"""The memory of running sequences, slot-first: written once for every architecture.

A slot holds what one sequence has absorbed.  Running sequences live in the lowest slots, so that a batch of
them is a slice of each tensor and nothing is ever gathered.
"""

from __future__ import annotations

import torch
from torch import Tensor

from botkit.engine.architecture import Architecture

FIRST_CAPACITY_TOKENS = 256


class SlotState:
    """The state tensors of all slots; implements ``architecture.State``.

    Room for tokens grows by doubling up to *max_tokens* a slot.  An architecture's tensors may differ between
    two capacities in their sizes only, and what was written stays at the same indices.
    """

    def __init__(self, architecture: Architecture, n_slots: int, max_tokens: int) -> None:
        """Allocate room for the first tokens of *n_slots* sequences."""
        self._architecture = architecture
        self.n_slots, self.max_tokens = n_slots, max_tokens
        self.capacity = min(FIRST_CAPACITY_TOKENS, max_tokens)
        self.n_used = 0
        self.n_tokens = [0] * n_slots
        self.tensors: dict[str, Tensor] = {
            name: self._zeros(name, self.capacity) for name in architecture.state_shapes(self.capacity)
        }

    @property
    def n_free(self) -> int:
        """How many slots can be claimed."""
        return self.n_slots - self.n_used

    @property
    def n_bytes(self) -> int:
        """How much memory the state takes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def claim(self) -> int:
        """Take the lowest free slot, empty, and return it."""
        assert self.n_free, "the scheduler claims free slots only"
        slot = self.n_used
        self.n_used += 1
        self.n_tokens[slot] = 0
        # All of it: a masked place still takes part in products, and garbage there may be NaN.
        for tensor in self.tensors.values():
            tensor[slot].zero_()
        return slot

    def release(self, slot: int) -> int:
        """Free *slot*, and move the highest used one into it; return where that one was."""
        assert 0 <= slot < self.n_used, f"slot {slot} is not in use"
        last = self.n_used - 1
        if slot != last:
            for tensor in self.tensors.values():
                tensor[slot].copy_(tensor[last])
            self.n_tokens[slot] = self.n_tokens[last]
        self.n_tokens[last] = 0
        self.n_used = last
        return last

    def reserve(self, n_tokens: int) -> None:
        """Make room for *n_tokens* in every slot."""
        assert n_tokens <= self.max_tokens, f"{n_tokens} tokens are more than {self.max_tokens}"
        if n_tokens <= self.capacity:
            return
        capacity = self.capacity
        while capacity < n_tokens:
            capacity *= 2
        capacity = min(capacity, self.max_tokens)
        # One tensor at a time, so that never more than one exists twice.
        for name in self.tensors:
            old, new = self.tensors[name], self._zeros(name, capacity)
            new[tuple(slice(0, size) for size in old.shape)] = old
            self.tensors[name] = new
        self.capacity = capacity

    def _zeros(self, name: str, capacity: int) -> Tensor:
        shape = self._architecture.state_shapes(capacity)[name]
        return torch.zeros(
            (self.n_slots, *shape.shape),
            dtype=shape.dtype or self._architecture.dtype,
            device=self._architecture.device,
        )

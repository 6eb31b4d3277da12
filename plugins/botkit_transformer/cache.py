"""The key-value cache in the engine's slots: where a batch's tokens go, and attention over what is there.

Shape suffixes: B rows, T tokens a row, M real tokens of all rows (no padding), S slots, L layers,
N key-value heads, G query heads a key-value head, C capacity, K keys looked at, H head width.

Padding leaves no trace because it is dropped at the door: everything but attention works on the M real
tokens.  Lengths and positions are Python lists, so that planning a batch never waits for the device.
"""

# ruff: noqa: N815 - fields carry shape suffixes, too
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor

from botkit.engine.architecture import Slots, State

KEY_BUCKET = 64
"""Attention looks at a multiple of this many keys, so that few different shapes occur."""


@dataclass(frozen=True)
class Batch:
    """Where the tokens of one forward call stand; made once a call, used by every layer."""

    n_rows: int
    n_columns: int
    """T, the padded width."""
    n_keys: int
    span: slice | None
    slots_B: Tensor | None
    """The rows' slots, where they are not one span."""
    slots_M: Tensor
    positions_M: Tensor
    real_M: Tensor | None
    """Index of each real token among the B*T padded ones; None where there is no padding."""
    last_B: Tensor | None
    """Index of each row's last token among the M; None where each row is one token."""
    masks: dict[int | None, Tensor | None]
    """For each attention window: what is added to the scores, [B, 1, T*G, K] or None for nothing."""

    @classmethod
    def plan(
        cls,
        n_columns: int,
        lengths: list[int],
        state: State,
        slots: Slots,
        *,
        group: int,
        windows: frozenset[int | None],
        dtype: torch.dtype,
    ) -> Batch:
        """Plan a call whose row b holds ``lengths[b]`` of *n_columns* tokens, for *group* heads a group."""
        keys = state.tensors["k"]
        device, capacity = keys.device, keys.shape[3]
        starts = [state.n_tokens[slot] for slot in slots.indices]
        ends = [start + length for start, length in zip(starts, lengths, strict=True)]
        longest = max(ends)
        assert longest <= capacity, f"{longest} tokens do not fit into a slot of {capacity}"
        padded = any(length != n_columns for length in lengths)
        same = n_columns == 1 and min(ends) == longest
        n_keys = longest if same else min(-(-longest // KEY_BUCKET) * KEY_BUCKET, capacity)
        rows = list(zip(slots.indices, starts, lengths, strict=True))
        places = torch.tensor(
            [
                [slot for slot, _, length in rows for _ in range(length)],
                [start + t for _, start, length in rows for t in range(length)],
            ],
            dtype=torch.int64,
        ).to(device)
        return cls(
            n_rows=len(lengths),
            n_columns=n_columns,
            n_keys=n_keys,
            span=slots.span,
            slots_B=None if slots.span is not None else slots.tensor(device),
            slots_M=places[0],
            positions_M=places[1],
            real_M=_real_tokens(lengths, n_columns, device) if padded else None,
            last_B=None if n_columns == 1 else _last_tokens(lengths, device),
            masks={
                window: _mask(starts, ends, n_columns, n_keys, group, window, device, dtype)
                for window in windows
            },
        )

    def flatten(self, tokens_BT: Tensor) -> Tensor:
        """Return the real tokens [M] of a padded batch [B, T]."""
        flat = tokens_BT.reshape(-1)
        return flat if self.real_M is None else flat[self.real_M]

    def unflatten(self, values_M: Tensor) -> Tensor:
        """Return *values_M* [M, ...] padded to [B*T, ...]; zeros where there was padding."""
        if self.real_M is None:
            return values_M
        padded = values_M.new_zeros(self.n_rows * self.n_columns, *values_M.shape[1:])
        return padded.index_copy_(0, self.real_M, values_M)

    def last(self, values_M: Tensor) -> Tensor:
        """Return the values [B, ...] at each row's last token."""
        return values_M if self.last_B is None else values_M[self.last_B]

    def write(self, cache_SLNCH: Tensor, layer: int, values_MNH: Tensor) -> None:
        """Store the keys or values of the batch's tokens at their positions of their slots."""
        places_SCNH = cache_SLNCH[:, layer].transpose(1, 2)
        places_SCNH.index_put_((self.slots_M, self.positions_M), values_MNH)

    def read(self, cache_SLNCH: Tensor, layer: int) -> Tensor:
        """Return the first K cached keys or values of the rows, [B, N, K, H]; a view for one span."""
        if self.span is not None:
            return cache_SLNCH[self.span, layer, :, : self.n_keys]
        assert self.slots_B is not None
        return cache_SLNCH[:, layer, :, : self.n_keys].index_select(0, self.slots_B)

    def attend(
        self,
        queries_MQH: Tensor,
        state: State,
        layer: int,
        *,
        window: int | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Return each token's attention over its row's cached tokens up to itself, [M, Q*H].

        The Q = N*G query heads of one key-value head are laid out as that head's query rows: no key or value
        is ever repeated.  *scale* multiplies the scores; None takes 1 / sqrt(H).
        """
        keys = self.read(state.tensors["k"], layer)
        values = self.read(state.tensors["v"], layer)
        rows, columns, heads, width = self.n_rows, self.n_columns, keys.shape[1], keys.shape[3]
        queries = self.unflatten(queries_MQH).view(rows, columns, heads, -1, width)
        queries = queries.transpose(1, 2).reshape(rows, heads, -1, width)
        mixed = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=self.masks[window], scale=scale
        )
        mixed = mixed.view(rows, heads, columns, -1, width).transpose(1, 2).reshape(rows * columns, -1)
        return mixed if self.real_M is None else mixed[self.real_M]


def _real_tokens(lengths: list[int], n_columns: int, device: torch.device) -> Tensor:
    places = [row * n_columns + t for row, length in enumerate(lengths) for t in range(length)]
    return torch.tensor(places, dtype=torch.int64).to(device)


def _last_tokens(lengths: list[int], device: torch.device) -> Tensor:
    lasts, total = [], 0
    for length in lengths:
        total += length
        lasts.append(total - 1)
    return torch.tensor(lasts, dtype=torch.int64).to(device)


def _mask(
    starts: list[int],
    ends: list[int],
    n_columns: int,
    n_keys: int,
    group: int,
    window: int | None,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor | None:
    """Return 0 where a query may look and -inf elsewhere, [B, 1, T*G, K] ([B, 1, 1, K] for one column).

    A padding query looks where its row's last token looks, so that no row of scores is empty.
    """
    if n_columns == 1 and min(ends) == n_keys and (window is None or n_keys <= window):
        return None
    bounds = torch.tensor([starts, ends], dtype=torch.int64).to(device)
    columns = torch.arange(n_columns, device=device)
    positions_BT = torch.minimum(bounds[0][:, None] + columns, bounds[1][:, None] - 1)[:, :, None]
    keys_K = torch.arange(n_keys, device=device)
    hidden_BTK = keys_K > positions_BT
    if window is not None:
        hidden_BTK |= keys_K <= positions_BT - window
    mask = torch.zeros(hidden_BTK.shape, dtype=dtype, device=device).masked_fill_(hidden_BTK, -torch.inf)
    if n_columns > 1 and group > 1:
        mask = mask.repeat_interleave(group, dim=1)
    return mask[:, None]

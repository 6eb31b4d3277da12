"""A checkpoint's tensors, checked by name and shape before anything is computed with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from botkit.errors import ModelError

Shape = tuple[int, ...]

_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_BUFFERS = re.compile(r"rotary_emb\.inv_freq$|^(transformer\.)?h\.\d+\.attn\.(masked_)?bias$")
"""Constants that old checkpoints carry along; they are computed here."""


def check_tensors(found: Mapping[str, Shape], expected: Mapping[str, Shape], where: str) -> None:
    """Raise ModelError naming the first tensor of *where* that is missing, misshapen or not expected."""
    for name, shape in expected.items():
        if name not in found:
            raise ModelError(f"{where}: tensor '{name}' is missing")
        if tuple(found[name]) != shape:
            raise ModelError(
                f"{where}: tensor '{name}' has shape {list(found[name])}, but the configuration says"
                f" {list(shape)}"
            )
    for name in found:
        if name not in expected:
            raise ModelError(
                f"{where}: tensor '{name:.80}' is not expected", hint="the configuration says otherwise"
            )


def relevant(names: Iterable[str], *, tied: bool) -> dict[str, str]:
    """Return the names that matter, and under which name each is stored.

    Constants are left out, and so is a head that is tied to the embedding.  GPT-2 checkpoints exist with and
    without the prefix ``transformer.``; here they have it.
    """
    names = list(names)
    bare = "wte.weight" in names
    chosen = {}
    for name in names:
        if _BUFFERS.search(name) or (tied and name == "lm_head.weight"):
            continue
        chosen[f"transformer.{name}" if bare and name != "lm_head.weight" else name] = name
    return chosen


class Weights:
    """The checked tensors of one checkpoint, taken out one by one in the wanted type and place.

    What was taken is let go here, so that the checkpoint's pages can leave memory while loading goes on.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        expected: Mapping[str, Shape],
        *,
        tied: bool,
        where: str,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Check *tensors* against *expected*; *where* names the file in errors."""
        stored = relevant(tensors, tied=tied)
        self._tensors = {name: tensors[key] for name, key in stored.items()}
        self._device, self._dtype = device, dtype
        check_tensors({name: tuple(t.shape) for name, t in self._tensors.items()}, expected, where)
        for name, tensor in self._tensors.items():
            if tensor.dtype not in _FLOATS:
                raise ModelError(f"{where}: tensor '{name}' holds {tensor.dtype}, not floating-point numbers")

    def take(self, *names: str, transposed: bool = False) -> Tensor:
        """Return a tensor of our own: the named ones, joined along the first axis after *transposed*."""
        alone = len(names) == 1 and not transposed
        # A tensor that is neither converted nor joined is copied: the checkpoint's own is a view of the file.
        parts = [self._tensors.pop(name).to(self._device, self._dtype, copy=alone) for name in names]
        if transposed:
            parts = [part.t() for part in parts]
        return parts[0].contiguous() if len(parts) == 1 else torch.cat(parts)

    def take_optional(self, present: bool, *names: str) -> Tensor | None:
        """Return ``take(*names)``, or None where the model has no such tensors."""
        return self.take(*names) if present else None

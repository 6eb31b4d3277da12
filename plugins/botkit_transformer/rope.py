"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864) and the ways its frequencies are stretched."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from botkit_transformer.config import RopeConfig


def frequencies(rope: RopeConfig, head_width: int) -> tuple[Tensor, float]:
    """Return the angular frequencies, float32 [head_width / 2], and the factor on cosine and sine."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.int64).float() / head_width
    plain = 1.0 / (rope.theta**exponents)
    if rope.kind == "linear":
        return plain / rope.factor, 1.0
    if rope.kind == "llama3":
        return _llama3(plain, rope), 1.0
    if rope.kind == "yarn":
        return _yarn(plain, rope, head_width), _yarn_attention_factor(rope)
    return plain, 1.0


def _llama3(plain: Tensor, rope: RopeConfig) -> Tensor:
    """Slow waves are stretched, fast ones kept, those between blended (Llama 3.1)."""
    turns = rope.original_tokens * plain / (2 * math.pi)  # full turns within the original context
    share = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    share = share.clamp(0.0, 1.0)
    return (1 - share) * plain / rope.factor + share * plain


def _yarn(plain: Tensor, rope: RopeConfig, head_width: int) -> Tensor:
    """Blend stretched and plain frequencies over a ramp of dimensions (arXiv:2309.00071, section 3.2)."""

    def dimension(turns: float) -> float:
        length = rope.original_tokens / (turns * 2 * math.pi)
        return head_width * math.log(length) / (2 * math.log(rope.theta))

    low, high = dimension(rope.beta_fast), dimension(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_width - 1)
    width = high - low or 0.001
    ramp = ((torch.arange(head_width // 2, dtype=torch.float32) - low) / width).clamp(0.0, 1.0)
    return ramp * plain / rope.factor + (1 - ramp) * plain


def _yarn_attention_factor(rope: RopeConfig) -> float:
    def scale(mscale: float) -> float:
        return 0.1 * mscale * math.log(rope.factor) + 1.0 if rope.factor > 1 else 1.0

    if rope.attention_factor is not None:
        return rope.attention_factor
    if rope.mscale and rope.mscale_all_dim:
        return scale(rope.mscale) / scale(rope.mscale_all_dim)
    return scale(1.0)


class Rotary:
    """Turns queries and keys by their positions."""

    def __init__(self, rope: RopeConfig, head_width: int, device: torch.device, dtype: torch.dtype) -> None:
        """Keep the frequencies on *device*; cosine and sine come in *dtype*."""
        values, self._factor = frequencies(rope, head_width)
        self._half = head_width // 2
        self._dtype = dtype
        # The sign of the first half's sine is folded in, so that a turn is roll, multiply, add.
        self._cos_frequencies = torch.cat((values, values)).to(device)
        self._sin_sign = torch.cat((-torch.ones_like(values), torch.ones_like(values))).to(device)

    def waves(self, positions_M: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and signed sine for int64 positions [M], each [M, 1, head_width]."""
        angles = (positions_M.float()[:, None] * self._cos_frequencies)[:, None, :]
        cos, sin = angles.cos(), angles.sin() * self._sin_sign
        if self._factor != 1.0:
            cos, sin = cos * self._factor, sin * self._factor
        return cos.to(self._dtype), sin.to(self._dtype)

    def turn_(self, heads: Tensor, waves: tuple[Tensor, Tensor]) -> None:
        """Turn *heads* [M, n, head_width] in place by *waves*."""
        cos, sin = waves
        rolled = heads.roll(self._half, -1)
        heads.mul_(cos).addcmul_(rolled, sin)

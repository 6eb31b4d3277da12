"""GPT-2 (Radford et al. 2019), ready for the engine's slots.

Shape suffixes: as in ``botkit.engine.architecture``; M real tokens of all rows, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor

from botkit.engine.architecture import Slots, State, StateShape
from botkit_transformer.cache import Batch
from botkit_transformer.checkpoint import read_model
from botkit_transformer.config import Gpt2Config
from botkit_transformer.linear import Linear, make_linear
from botkit_transformer.weights import Shape, Weights

Norm = tuple[Tensor, Tensor]
"""A LayerNorm's weight and bias, each [D]."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One block's weights; ``scale`` multiplies the attention scores."""

    attention_norm: Norm
    qkv: Linear
    output: Linear
    mlp_norm: Norm
    up: Linear
    down: Linear
    scale: float


class Gpt2:
    """A loaded GPT-2; implements ``botkit.engine.architecture.Architecture``."""

    def __init__(
        self, config: Gpt2Config, weights: Weights, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Take the weights; the Conv1D ones are stored transposed and turned here, once."""
        self.config, self.device, self.dtype = config, device, dtype
        self.vocab_size: int = config.vocab_size
        self.context_tokens: int | None = config.context_tokens
        self._embedding_VD = weights.take("transformer.wte.weight")
        self._positions_CD = weights.take("transformer.wpe.weight")
        self._layers = [_layer(config, weights, index) for index in range(config.n_layers)]
        self._norm = _norm(weights, "transformer.ln_f")
        self._head_VD = self._embedding_VD if config.tied else weights.take("lm_head.weight")

    @classmethod
    def load(cls, folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> Gpt2:
        """Load the model in *folder*; raises ModelError with one line for what cannot be used."""
        place = torch.device(device)
        config, weights = read_model(folder, Gpt2Config, expected_tensors, device=place, dtype=dtype)
        return cls(config, weights, place, dtype)

    def state_shapes(self, max_tokens: int) -> dict[str, StateShape]:
        """Return keys and values: each [L, N, C, H] a slot."""
        config = self.config
        shape = (config.n_layers, config.n_heads, max_tokens, config.head_width)
        return {"k": StateShape(shape), "v": StateShape(shape)}

    @torch.no_grad()
    def forward(
        self,
        tokens_BT: Tensor,
        lengths: list[int],
        state: State,
        slots: Slots,
        *,
        every_position: bool = False,
    ) -> Tensor:
        """Absorb the next tokens and return float32 logits; see ``Architecture.forward``."""
        batch = Batch.plan(
            tokens_BT.shape[1],
            lengths,
            state,
            slots,
            group=1,
            windows=frozenset((None,)),
            dtype=self.dtype,
        )
        x_MD = F.embedding(batch.flatten(tokens_BT), self._embedding_VD)
        x_MD += F.embedding(batch.positions_M, self._positions_CD)
        for index, layer in enumerate(self._layers):
            x_MD += self._attend(self._normed(x_MD, layer.attention_norm), index, batch, state)
            inner = F.gelu(layer.up(self._normed(x_MD, layer.mlp_norm)), approximate=self.config.gelu)
            x_MD += layer.down(inner)
        chosen = x_MD if every_position else batch.last(x_MD)
        logits = F.linear(self._normed(chosen, self._norm), self._head_VD).float()
        if every_position:
            return batch.unflatten(logits).view(batch.n_rows, batch.n_columns, -1)
        return logits

    def _normed(self, x: Tensor, norm: Norm) -> Tensor:
        weight, bias = norm
        return F.layer_norm(x, weight.shape, weight, bias, self.config.norm_epsilon)

    def _attend(self, x_MD: Tensor, index: int, batch: Batch, state: State) -> Tensor:
        layer, n_heads = self._layers[index], self.config.n_heads
        heads = layer.qkv(x_MD).view(-1, 3 * n_heads, self.config.head_width)
        batch.write(state.tensors["k"], index, heads[:, n_heads : 2 * n_heads])
        batch.write(state.tensors["v"], index, heads[:, 2 * n_heads :])
        return layer.output(batch.attend(heads[:, :n_heads], state, index, scale=layer.scale))


def _norm(weights: Weights, name: str) -> Norm:
    return weights.take(f"{name}.weight"), weights.take(f"{name}.bias")


def _layer(config: Gpt2Config, weights: Weights, index: int) -> Layer:
    at = f"transformer.h.{index}"

    def linear(name: str) -> Linear:
        weight = weights.take(f"{at}.{name}.weight", transposed=True)
        return make_linear(weight, weights.take(f"{at}.{name}.bias"))

    scale = config.head_width**-0.5 if config.scale_by_width else 1.0
    return Layer(
        attention_norm=_norm(weights, f"{at}.ln_1"),
        qkv=linear("attn.c_attn"),
        output=linear("attn.c_proj"),
        mlp_norm=_norm(weights, f"{at}.ln_2"),
        up=linear("mlp.c_fc"),
        down=linear("mlp.c_proj"),
        scale=scale / (index + 1) if config.scale_by_layer else scale,
    )


def expected_tensors(config: Gpt2Config) -> dict[str, Shape]:
    """Return the name and shape of every tensor such a model's checkpoint holds."""
    width, inner = config.width, config.inner_width
    shapes: dict[str, Shape] = {
        "transformer.wte.weight": (config.vocab_size, width),
        "transformer.wpe.weight": (config.context_tokens, width),
    }
    for index in range(config.n_layers):
        at = f"transformer.h.{index}"
        linears = {  # stored [n_in, n_out], as GPT-2's Conv1D has it
            "attn.c_attn": (width, 3 * width),
            "attn.c_proj": (width, width),
            "mlp.c_fc": (width, inner),
            "mlp.c_proj": (inner, width),
        }
        for name, (n_in, n_out) in linears.items():
            shapes[f"{at}.{name}.weight"] = (n_in, n_out)
            shapes[f"{at}.{name}.bias"] = (n_out,)
        for name in ("ln_1", "ln_2"):
            shapes[f"{at}.{name}.weight"] = (width,)
            shapes[f"{at}.{name}.bias"] = (width,)
    shapes["transformer.ln_f.weight"] = (width,)
    shapes["transformer.ln_f.bias"] = (width,)
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocab_size, width)
    return shapes

"""The Llama family (Llama, SmolLM, Mistral, Qwen2, Qwen3), ready for the engine's slots.

Shape suffixes: as in ``botkit.engine.architecture``; M real tokens of all rows, D model width.
"""

# ruff: noqa: N815 - fields carry shape suffixes, too
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor

from botkit.engine.architecture import Slots, State, StateShape
from botkit_transformer.cache import Batch
from botkit_transformer.checkpoint import read_model
from botkit_transformer.config import LlamaConfig
from botkit_transformer.linear import Linear, make_linear
from botkit_transformer.rope import Rotary
from botkit_transformer.weights import Shape, Weights


@dataclass(frozen=True, slots=True)
class Layer:
    """One block's weights.  Query, key and value are one product, gate and up another."""

    attention_norm_D: Tensor
    qkv: Linear
    qk_norm: Tensor | None
    output: Linear
    mlp_norm_D: Tensor
    gate_up: Linear
    down: Linear


class Llama:
    """A loaded model of the Llama family; implements ``botkit.engine.architecture.Architecture``."""

    def __init__(
        self, config: LlamaConfig, weights: Weights, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Take the weights and lay them out for speed."""
        self.config, self.device, self.dtype = config, device, dtype
        self.vocab_size: int = config.vocab_size
        self.context_tokens: int | None = config.context_tokens
        self._embedding_VD = weights.take("model.embed_tokens.weight")
        self._layers = [_layer(config, weights, index) for index in range(config.n_layers)]
        self._norm_D = weights.take("model.norm.weight")
        self._head_VD = self._embedding_VD if config.tied else weights.take("lm_head.weight")
        self._rotary = Rotary(config.rope, config.head_width, device, dtype)
        self._windows = frozenset(config.windows)

    @classmethod
    def load(cls, folder: Path, *, device: torch.device | str, dtype: torch.dtype) -> Llama:
        """Load the model in *folder*; raises ModelError with one line for what cannot be used."""
        place = torch.device(device)
        config, weights = read_model(folder, LlamaConfig, expected_tensors, device=place, dtype=dtype)
        return cls(config, weights, place, dtype)

    def state_shapes(self, max_tokens: int) -> dict[str, StateShape]:
        """Return keys and values: each [L, N, C, H] a slot."""
        config = self.config
        shape = (config.n_layers, config.n_kv_heads, max_tokens, config.head_width)
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
        config = self.config
        batch = Batch.plan(
            tokens_BT.shape[1],
            lengths,
            state,
            slots,
            group=config.n_heads // config.n_kv_heads,
            windows=self._windows,
            dtype=self.dtype,
        )
        waves = self._rotary.waves(batch.positions_M)
        x_MD = F.embedding(batch.flatten(tokens_BT), self._embedding_VD)
        for index, layer in enumerate(self._layers):
            x_MD += self._attend(self._normed(x_MD, layer.attention_norm_D), index, batch, state, waves)
            gate_up = layer.gate_up(self._normed(x_MD, layer.mlp_norm_D))
            gate, up = gate_up.chunk(2, dim=-1)
            x_MD += layer.down(F.silu(gate).mul_(up))
        chosen = x_MD if every_position else batch.last(x_MD)
        logits = F.linear(self._normed(chosen, self._norm_D), self._head_VD).float()
        if every_position:
            return batch.unflatten(logits).view(batch.n_rows, batch.n_columns, -1)
        return logits

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self.config.norm_epsilon)

    def _attend(
        self, x_MD: Tensor, index: int, batch: Batch, state: State, waves: tuple[Tensor, Tensor]
    ) -> Tensor:
        config, layer = self.config, self._layers[index]
        n_queries, n_keys = config.n_heads, config.n_kv_heads
        heads = layer.qkv(x_MD).view(-1, n_queries + 2 * n_keys, config.head_width)
        turned, values = heads[:, : n_queries + n_keys], heads[:, n_queries + n_keys :]
        if layer.qk_norm is not None:
            turned = F.rms_norm(turned, (config.head_width,), None, config.norm_epsilon).mul_(layer.qk_norm)
        self._rotary.turn_(turned, waves)
        batch.write(state.tensors["k"], index, turned[:, n_queries:])
        batch.write(state.tensors["v"], index, values)
        mixed = batch.attend(turned[:, :n_queries], state, index, window=config.windows[index])
        return layer.output(mixed)


def _layer(config: LlamaConfig, weights: Weights, index: int) -> Layer:
    at = f"model.layers.{index}"
    qkv = [f"{at}.self_attn.{part}_proj" for part in "qkv"]
    gate_up = [f"{at}.mlp.{part}_proj" for part in ("gate", "up")]

    def linear(names: list[str], bias: bool) -> Linear:
        weight = weights.take(*(f"{name}.weight" for name in names))
        return make_linear(weight, weights.take_optional(bias, *(f"{name}.bias" for name in names)))

    qk_norm = None
    if config.qk_norm:  # one weight row for every query head, then one for every key head
        query = weights.take(f"{at}.self_attn.q_norm.weight").expand(config.n_heads, -1)
        key = weights.take(f"{at}.self_attn.k_norm.weight").expand(config.n_kv_heads, -1)
        qk_norm = torch.cat((query, key))
    return Layer(
        attention_norm_D=weights.take(f"{at}.input_layernorm.weight"),
        qkv=linear(qkv, config.qkv_bias),
        qk_norm=qk_norm,
        output=linear([f"{at}.self_attn.o_proj"], config.output_bias),
        mlp_norm_D=weights.take(f"{at}.post_attention_layernorm.weight"),
        gate_up=linear(gate_up, config.mlp_bias),
        down=linear([f"{at}.mlp.down_proj"], config.mlp_bias),
    )


def expected_tensors(config: LlamaConfig) -> dict[str, Shape]:
    """Return the name and shape of every tensor such a model's checkpoint holds."""
    width, inner = config.width, config.inner_width
    queries, keys = config.n_heads * config.head_width, config.n_kv_heads * config.head_width
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (config.vocab_size, width)}
    for index in range(config.n_layers):
        at = f"model.layers.{index}"
        linears = {
            "self_attn.q_proj": (queries, width, config.qkv_bias),
            "self_attn.k_proj": (keys, width, config.qkv_bias),
            "self_attn.v_proj": (keys, width, config.qkv_bias),
            "self_attn.o_proj": (width, queries, config.output_bias),
            "mlp.gate_proj": (inner, width, config.mlp_bias),
            "mlp.up_proj": (inner, width, config.mlp_bias),
            "mlp.down_proj": (width, inner, config.mlp_bias),
        }
        for name, (n_out, n_in, bias) in linears.items():
            shapes[f"{at}.{name}.weight"] = (n_out, n_in)
            if bias:
                shapes[f"{at}.{name}.bias"] = (n_out,)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{at}.{name}.weight"] = (width,)
        if config.qk_norm:
            for name in ("q_norm", "k_norm"):
                shapes[f"{at}.self_attn.{name}.weight"] = (config.head_width,)
    shapes["model.norm.weight"] = (width,)
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocab_size, width)
    return shapes

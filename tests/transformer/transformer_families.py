"""Tiny random models of every family, as transformers saves them, and a slot state to run them in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botkit_transformer
import torch

from botkit.engine.architecture import Slots


@dataclass
class SlotState:
    """The least that ``Architecture.forward`` may expect of the engine's state."""

    tensors: Mapping[str, torch.Tensor]
    n_tokens: list[int]

    @classmethod
    def of(cls, model: Any, n_slots: int, max_tokens: int) -> SlotState:
        tensors = {
            name: torch.full((n_slots, *shape.shape), 7.0, dtype=shape.dtype or model.dtype)
            for name, shape in model.state_shapes(max_tokens).items()
        }
        return cls(tensors, [0] * n_slots)

    def feed(self, model: Any, rows: Mapping[int, list[int]], *, every_position: bool = True) -> list:
        """Run one forward call: tokens by slot, in the order given; return each row's logits."""
        width = max(len(tokens) for tokens in rows.values())
        padded = [tokens + [0] * (width - len(tokens)) for tokens in rows.values()]
        lengths = [len(tokens) for tokens in rows.values()]
        logits = model.forward(
            torch.tensor(padded), lengths, self, Slots(tuple(rows)), every_position=every_position
        )
        for slot, tokens in rows.items():
            self.n_tokens[slot] += len(tokens)
        assert logits.dtype == torch.float32
        return [row[:length] if every_position else row for row, length in zip(logits, lengths, strict=True)]


LLAMA = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
GPT2 = {"vocab_size": 97, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 256}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", LLAMA),
    "llama-tied": ("llama", {**LLAMA, "tie_word_embeddings": True}),
    "llama-biased": ("llama", {**LLAMA, "attention_bias": True, "mlp_bias": True}),
    "llama-wide-heads": ("llama", {**LLAMA, "head_dim": 16}),
    "llama-llama3": ("llama", {**LLAMA, "rope_parameters": LLAMA3}),
    "llama-linear": (
        "llama",
        {**LLAMA, "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    "llama-dynamic": (
        "llama",
        {**LLAMA, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    "llama-yarn": ("llama", {**LLAMA, "rope_parameters": YARN}),
    "mistral": ("mistral", {**LLAMA, "sliding_window": None}),
    "mistral-window": ("mistral", {**LLAMA, "sliding_window": 10}),
    "qwen2": ("qwen2", LLAMA),
    "qwen2-tied": ("qwen2", {**LLAMA, "tie_word_embeddings": True}),
    "qwen2-window": (
        "qwen2",
        {**LLAMA, "use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1},
    ),
    "qwen3": ("qwen3", {**LLAMA, "head_dim": 16}),
    "qwen3-tied": ("qwen3", {**LLAMA, "tie_word_embeddings": True}),
    "gpt2": ("gpt2", GPT2),
    "gpt2-untied": ("gpt2", {**GPT2, "tie_word_embeddings": False, "n_inner": 100}),
    "gpt2-scaled": ("gpt2", {**GPT2, "scale_attn_by_inverse_layer_idx": True}),
}


def make_reference(model_type: str, settings: Mapping[str, Any]) -> Any:
    """Return a random transformers model, every weight of which matters."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(5)
    config = AutoConfig.for_model(model_type, **settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    for name, parameter in model.named_parameters():
        if "norm" in name or "ln_" in name or name.endswith("bias"):
            parameter.data += 0.3 * torch.randn_like(parameter)
        elif parameter.dim() > 1:
            parameter.data = torch.randn_like(parameter) * 1.5 / parameter.shape[-1] ** 0.5
    return model


def save_reference(model: Any, folder: Path) -> Path:
    """Save a transformers model as a folder of ours."""
    model.save_pretrained(folder)
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    return folder


def load(folder: Path, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Any:
    """Load a model folder through the plugin's own registration, as the engine would."""
    specs: list[Any] = []
    botkit_transformer.register_architectures(register=specs.append)
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    (spec,) = [spec for spec in specs if model_type in spec.model_types]
    return spec.load(folder, device=device, dtype=dtype)

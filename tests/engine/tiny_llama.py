"""A random, tiny model of the Llama family with a byte-level tokenizer: a folder that the engine can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from botkit_transformer.config import LlamaConfig, parse_config
from botkit_transformer.llama import Llama, expected_tensors
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CONTEXT_TOKENS = 96
CONFIG = {
    "model_type": "llama",
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT_TOKENS,
    "eos_token_id": 258,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role[0] }}{{ m.content }}<|im_end|>{% endfor %}<|im_start|>a"
)


def byte_tokenizer() -> Tokenizer:
    """One token a byte, then ``<|endoftext|>``, ``<|im_start|>``, ``<|im_end|>``."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in specials])
    return tokenizer


def write_tiny_llama(folder: Path, **changes: Any) -> Path:
    """Write the model into the new *folder* and return it."""
    folder.mkdir(parents=True)
    settings = {**CONFIG, **changes}
    config = parse_config(settings)
    assert isinstance(config, LlamaConfig)
    draw = torch.Generator().manual_seed(7)
    tensors = {}
    for name, shape in expected_tensors(config).items():
        scale = 1.0 if len(shape) == 1 else 2.5 / shape[-1] ** 0.5
        tensors[name] = torch.randn(shape, generator=draw) * scale
    save_file(tensors, folder / "weights.safetensors")
    (folder / "config.json").write_text(json.dumps(settings))
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    names = {"eos_token": "<|im_end|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return folder


def load_tiny_llama(folder: Path) -> Llama:
    """Load it in float32 on the CPU."""
    return Llama.load(folder, device="cpu", dtype=torch.float32)

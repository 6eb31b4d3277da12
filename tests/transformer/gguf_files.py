"""Small GGUF files, written with the gguf library, of which every number is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType as Kind
from tokenizers import pre_tokenizers

WORDS = ["th", "he", "the", "Ġt", "Ġth", "Ġthe", "in", "12"]
MERGES = ["t h", "h e", "th e", "Ġ t", "Ġt h", "Ġth e", "i n", "1 2"]
CONTROLS = ["<|end|>", "<|start|>"]


def byte_tokens() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def vocabulary() -> tuple[list[str], list[int]]:
    tokens = CONTROLS + byte_tokens() + WORDS + ["<|user|>"]
    kinds = [3] * len(CONTROLS) + [1] * (len(tokens) - len(CONTROLS) - 1) + [4]
    return tokens, kinds


def llama_names(n_layers: int) -> dict[str, str]:
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    parts = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
    }
    for layer in range(n_layers):
        names |= {f"model.layers.{layer}.{ours}": f"blk.{layer}.{theirs}" for ours, theirs in parts.items()}
    return names


def gpt2_names(n_layers: int) -> dict[str, str]:
    names = {
        "transformer.wte": "token_embd",
        "transformer.wpe": "position_embd",
        "transformer.ln_f": "output_norm",
        "lm_head": "output",
    }
    parts = {
        "ln_1": "attn_norm",
        "ln_2": "ffn_norm",
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
    }
    for layer in range(n_layers):
        names |= {f"transformer.h.{layer}.{ours}": f"blk.{layer}.{theirs}" for ours, theirs in parts.items()}
    return names


def permuted(rows: np.ndarray, n_heads: int) -> np.ndarray:
    """Order the rows of a query or key projection as llama.cpp's converter does."""
    split = rows.reshape(n_heads, 2, rows.shape[0] // n_heads // 2, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)


def unpermuted(rows: np.ndarray, n_heads: int) -> np.ndarray:
    """Undo ``permuted``."""
    order = permuted(np.arange(rows.shape[0]), n_heads)
    return rows[np.argsort(order)]


def add_tokenizer(writer: gguf.GGUFWriter, pre: str = "smollm", **changes: Any) -> None:
    tokens, kinds = vocabulary()
    writer.add_tokenizer_model(changes.get("model", "gpt2"))
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(changes.get("tokens", tokens))
    writer.add_token_types(changes.get("kinds", kinds))
    writer.add_token_merges(changes.get("merges", MERGES))
    writer.add_eos_token_id(changes.get("eos", 0))
    writer.add_bos_token_id(1)
    writer.add_chat_template("{% for m in messages %}<|start|>{{ m['content'] }}<|end|>{% endfor %}")


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_llama(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    kinds: Mapping[str, Kind] | Kind = Kind.F32,
    architecture: str = "llama",
    *,
    extra: Mapping[str, np.ndarray] | None = None,
    settings: Mapping[str, Any] | None = None,
    pre: str = "smollm",
    **tokenizer: Any,
) -> None:
    """Write a model of the Llama family; *kinds* is one quantisation for its matrices."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
    for key, value in (settings or {}).items():
        writer.add_float32(key, value) if isinstance(value, float) else writer.add_string(key, value)
    add_tokenizer(writer, pre, **tokenizer)
    names = llama_names(config["num_hidden_layers"])
    for name, values in tensors.items():
        stem, _, suffix = name.rpartition(".")
        if architecture == "llama" and stem.endswith(("q_proj", "k_proj")):
            heads = "num_attention_heads" if "q_proj" in stem else "num_key_value_heads"
            values = permuted(values, config[heads])
        add_tensor(writer, f"{names[stem]}.{suffix}", values, kinds)
    for name, values in (extra or {}).items():
        add_tensor(writer, name, values, Kind.F32)
    finish(writer)


def write_gpt2(path: Path, tensors: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> None:
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_block_count(config["n_layer"])
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(1e-5)
    add_tokenizer(writer, "gpt-2")
    names = gpt2_names(config["n_layer"])
    for name, values in tensors.items():
        stem, _, suffix = name.rpartition(".")
        if ".c_" in stem and suffix == "weight":
            values = np.ascontiguousarray(values.T)
        add_tensor(writer, f"{names[stem]}.{suffix}", values, Kind.F32)
    finish(writer)


def add_tensor(writer: gguf.GGUFWriter, name: str, values: np.ndarray, kind: Kind) -> None:
    values = np.ascontiguousarray(values, dtype=np.float32)
    if values.ndim < 2 or kind == Kind.F32:
        writer.add_tensor(name, values)
    elif kind == Kind.F16:
        writer.add_tensor(name, values.astype(np.float16))
    else:
        writer.add_tensor(name, quantised(values, kind), raw_dtype=kind)


def quantised(values: np.ndarray, kind: Kind) -> np.ndarray:
    """Quantise with the library, or, where it can only read a kind, invent blocks with sane scales."""
    try:
        return gguf.quantize(values, kind)
    except NotImplementedError:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        shape = (*values.shape[:-1], values.shape[-1] // block * size)
        return np.random.default_rng(3).integers(0, 60, shape, dtype=np.uint8)

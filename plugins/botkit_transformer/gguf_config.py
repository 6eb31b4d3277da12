"""From a GGUF file's metadata to a Hugging Face ``config.json``, and from its tensor names to theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from botkit.errors import ModelError
from botkit_transformer.fields import Fields
from botkit_transformer.gguf_header import GgufHeader

ARCHITECTURES = {"llama": "llama", "mistral": "mistral", "qwen2": "qwen2", "qwen3": "qwen3", "gpt2": "gpt2"}
CLASSES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
}
ROPE_FREQUENCIES = "rope_freqs.weight"
LLAMA3_ORIGINAL_TOKENS = 8192

_LLAMA_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_GPT2_NAMES = {
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
    "lm_head": "output",
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor of ours comes from: a GGUF tensor, perhaps with other rows first or transposed."""

    name: str
    rows: npt.NDArray[np.int64] | None = None
    transposed: bool = False


def config_of(header: GgufHeader, rope_frequencies: npt.NDArray[np.float32] | None) -> dict[str, Any]:
    """Return the ``config.json`` for *header*; raises ModelError for what cannot be run here.

    *rope_frequencies* is the content of the tensor of that name, which is how GGUF keeps Llama 3's scaling.
    """
    fields = Fields(header.metadata, str(header.path))
    architecture = fields.text("general.architecture", "")
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"{header.path}: architecture '{architecture:.40}' is not supported",
            hint=f"supported in GGUF files are {', '.join(ARCHITECTURES)}",
        )
    if "token_embd.weight" not in header.tensors:
        raise ModelError(f"{header.path}: tensor 'token_embd.weight' is missing")
    config = _gpt2(header, fields) if architecture == "gpt2" else _llama(header, fields, architecture)
    if architecture != "gpt2":
        config["rope_parameters"] = _rope(fields, architecture, config["head_dim"], rope_frequencies)
    model_type = config["model_type"]
    ids = {
        key: fields.integer(f"tokenizer.ggml.{name}_token_id", least=0)
        for key, name in (("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding"))
        if f"tokenizer.ggml.{name}_token_id" in header.metadata
    }
    end_of_turn = header.metadata.get("tokenizer.ggml.eot_token_id")
    if type(end_of_turn) is int and ids.get("eos_token_id", end_of_turn) != end_of_turn:
        ids["eos_token_id"] = [ids["eos_token_id"], end_of_turn]  # type: ignore[assignment]
    return {"architectures": [CLASSES[model_type]], **config, **ids, "dtype": "float32"}


def _llama(header: GgufHeader, fields: Fields, architecture: str) -> dict[str, Any]:
    def size(key: str, default: int | None = None) -> int:
        return fields.integer(f"{architecture}.{key}", default)

    if header.metadata.get(f"{architecture}.expert_count"):
        raise ModelError(f"{header.path}: a mixture of experts is not supported")
    width, n_heads = size("embedding_length"), size("attention.head_count")
    window = header.metadata.get(f"{architecture}.attention.sliding_window")
    if window and architecture not in ("llama", "mistral"):
        raise ModelError(f"{header.path}: a sliding window of {architecture} is not supported in GGUF files")
    model_type = "mistral" if architecture == "mistral" or window else architecture
    config: dict[str, Any] = {
        "model_type": model_type,
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "hidden_size": width,
        "intermediate_size": size("feed_forward_length"),
        "num_hidden_layers": size("block_count"),
        "num_attention_heads": n_heads,
        "num_key_value_heads": size("attention.head_count_kv", n_heads),
        "head_dim": size("attention.key_length", max(1, width // n_heads)),
        "max_position_embeddings": size("context_length"),
        "rms_norm_eps": _short(fields.number(f"{architecture}.attention.layer_norm_rms_epsilon")),
        "hidden_act": "silu",
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "attention_bias": architecture != "qwen2" and "blk.0.attn_output.bias" in header.tensors,
    }
    if model_type == "mistral":
        config["sliding_window"] = window or None
    return config


def _gpt2(header: GgufHeader, fields: Fields) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "n_embd": fields.integer("gpt2.embedding_length"),
        "n_inner": fields.integer("gpt2.feed_forward_length"),
        "n_layer": fields.integer("gpt2.block_count"),
        "n_head": fields.integer("gpt2.attention.head_count"),
        "n_positions": fields.integer("gpt2.context_length"),
        "layer_norm_epsilon": _short(fields.number("gpt2.attention.layer_norm_epsilon")),
        "activation_function": "gelu_new",
        "tie_word_embeddings": "output.weight" not in header.tensors,
    }


def _short(value: float) -> float:
    """Return the decimal that was meant: GGUF keeps 1e-5 as the float32 nearest to it."""
    return float(str(np.float32(value)))


def _rope(
    fields: Fields, architecture: str, head_width: int, factors: npt.NDArray[np.float32] | None
) -> dict[str, Any]:
    at = f"{architecture}.rope"
    rope: dict[str, Any] = {"rope_theta": fields.number(f"{at}.freq_base", 10_000.0), "rope_type": "default"}
    kind = fields.text(f"{at}.scaling.type", "none")
    if f"{at}.scale_linear" in fields.values:  # how older files say it
        rope |= {"rope_type": "linear", "factor": fields.number(f"{at}.scale_linear")}
    if factors is not None:
        return rope | _llama3(factors, rope["rope_theta"], head_width, fields.where)
    if kind != "none":
        rope |= {"rope_type": kind, "factor": fields.number(f"{at}.scaling.factor")}
    if kind == "yarn":
        fields.require(f"{at}.scaling.attn_factor", (None, 1.0), None)
        original = fields.integer(f"{at}.scaling.original_context_length")
        rope["original_max_position_embeddings"] = original
    return rope


def _llama3(factors: npt.NDArray[np.float32], theta: float, head_width: int, where: str) -> dict[str, Any]:
    """Recognise Llama 3's scaling by the factors that a GGUF file holds in its place.

    A converter writes 1 for fast waves, ``factor`` for slow ones and the formula's blend between.  Every
    published model has the bounds 1 and 4 and an original context of 8,192 tokens, so only ``factor`` varies.
    """
    factor, low, high = round(float(np.nanmax(factors)), 4), 1.0, 4.0
    plain = theta ** (-np.arange(0, head_width, 2, dtype=np.float64) / head_width)
    turns = LLAMA3_ORIGINAL_TOKENS * plain / (2 * np.pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    wanted = 1.0 / ((1 - share) / factor + share)
    if factors.shape != wanted.shape or not np.allclose(factors, wanted, rtol=1e-3, atol=0):
        raise ModelError(f"{where}: its rope factors are not those of Llama 3; others are not supported")
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": LLAMA3_ORIGINAL_TOKENS,
    }


def origin_of(name: str, config: Mapping[str, Any], architecture: str) -> Origin:
    """Return where the tensor *name* of a Hugging Face checkpoint comes from in a GGUF file."""
    stem, _, kind = name.rpartition(".")
    names = _GPT2_NAMES if architecture == "gpt2" else _LLAMA_NAMES
    if stem in names:
        return Origin(f"{names[stem]}.{kind}")
    prefix = "transformer.h." if architecture == "gpt2" else "model.layers."
    index, _, part = stem.removeprefix(prefix).partition(".")
    source = f"blk.{index}.{names[part]}.{kind}"
    if architecture == "gpt2":
        # GPT-2's Conv1D keeps [n_in, n_out]; GGUF files keep [n_out, n_in].
        return Origin(source, transposed=kind == "weight" and "." in part)
    if architecture in ("llama", "mistral") and part in ("self_attn.q_proj", "self_attn.k_proj"):
        heads = config["num_attention_heads" if "q_proj" in part else "num_key_value_heads"]
        return Origin(source, rows=_half_split_rows(heads, config["head_dim"]))
    return Origin(source)


def _half_split_rows(n_heads: int, head_width: int) -> npt.NDArray[np.int64]:
    """Undo the row order of queries and keys: GGUF turns neighbours, Hugging Face halves, as pairs."""
    rows = np.arange(n_heads * head_width).reshape(n_heads, head_width // 2, 2)
    return rows.swapaxes(1, 2).reshape(-1)

"""What a model is: Hugging Face's ``config.json`` parsed into frozen dataclasses, or refused in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botkit.errors import ModelError
from botkit_transformer.fields import Fields

LLAMA_FAMILY = ("llama", "mistral", "qwen2", "qwen3")
SUPPORTED = (*LLAMA_FAMILY, "gpt2")
MAX_LAYERS = 1024
"""More than any model has; each layer costs a dozen names before a file is looked into."""

_ENCODERS = (
    "bert", "roberta", "distilbert", "albert", "electra", "deberta", "deberta-v2", "camembert",
    "xlm-roberta", "modernbert", "mpnet", "clip", "vit", "wav2vec2",
)  # fmt: skip
_ENCODER_DECODERS = ("t5", "mt5", "umt5", "bart", "mbart", "pegasus", "marian", "blenderbot", "whisper")
_STATE_SPACES = ("mamba", "mamba2", "falcon_mamba", "rwkv", "recurrent_gemma", "jamba", "xlstm")
_EXPERTS = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "deepseek_v2", "deepseek_v3", "gpt_oss", "dbrx")


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Rotary position embedding: base ``theta`` and how the frequencies are stretched (``kind``).

    ``kind`` is ``default``, ``linear``, ``llama3`` or ``yarn``.  The lengths are tokens.
    """

    theta: float = 10_000.0
    kind: str = "default"
    factor: float = 1.0
    original_tokens: int = 0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    attention_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    mscale: float | None = None
    mscale_all_dim: float | None = None


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """A decoder of the Llama family.  ``windows[l]`` is layer l's attention window in tokens, or None."""

    family: str
    vocab_size: int
    width: int
    inner_width: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_width: int
    norm_epsilon: float
    context_tokens: int
    rope: RopeConfig
    tied: bool
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    qk_norm: bool
    windows: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Gpt2Config:
    """A GPT-2: learned positions, LayerNorm with bias, GELU (``gelu`` is torch's ``approximate``)."""

    vocab_size: int
    width: int
    inner_width: int
    n_layers: int
    n_heads: int
    norm_epsilon: float
    context_tokens: int
    gelu: str
    scale_by_width: bool
    scale_by_layer: bool
    tied: bool

    @property
    def head_width(self) -> int:
        """The width of one head."""
        return self.width // self.n_heads


def parse_config(values: Mapping[str, Any], where: str = "config.json") -> LlamaConfig | Gpt2Config:
    """Return what *values* describe; raise ModelError, naming *where*, for what cannot be run here."""
    fields = Fields(values, where)
    model_type = fields.text("model_type", "")
    if model_type not in SUPPORTED:
        raise refusal(model_type, where)
    fields.require("quantization_config", (None,), None)
    return _parse_gpt2(fields) if model_type == "gpt2" else _parse_llama(fields, model_type)


def refusal(model_type: str, where: str) -> ModelError:
    """Return the error for a kind of model that cannot be run here, with the reason where it is known."""
    hint = f"supported are {', '.join(SUPPORTED)}"
    if not model_type:
        return ModelError(f"{where}: 'model_type' is missing", hint=hint)
    if model_type in _ENCODERS:
        reason = "is not an autoregressive generator but an encoder"
    elif model_type in _ENCODER_DECODERS:
        reason = "is an encoder-decoder, not a decoder-only generator"
    elif model_type in _STATE_SPACES:
        reason = "is a state-space model, not a Transformer that can be run here"
    elif model_type in _EXPERTS or "moe" in model_type:
        reason = "is a mixture of experts, which is not supported"
    else:
        reason = "is not a supported architecture"
    return ModelError(f"{where}: {model_type:.60} {reason}", hint=hint)


def _parse_llama(fields: Fields, family: str) -> LlamaConfig:
    fields.require("hidden_act", ("silu", "swish"), "silu")
    width, n_heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    default_kv_heads = 8 if family == "mistral" and "num_key_value_heads" not in fields.values else n_heads
    n_kv_heads = fields.integer("num_key_value_heads", default_kv_heads)
    head_width = fields.integer("head_dim", 128 if family == "qwen3" else max(1, width // n_heads))
    if n_heads % n_kv_heads:
        raise fields.wrong("num_key_value_heads", f"a divisor of num_attention_heads ({n_heads})")
    if head_width % 2:
        raise fields.wrong("head_dim", "even")
    n_layers = fields.integer("num_hidden_layers", most=MAX_LAYERS)
    context_tokens = fields.integer("max_position_embeddings", 2048)
    attention_bias = family in ("llama", "qwen3") and fields.flag("attention_bias", False)
    return LlamaConfig(
        family=family,
        vocab_size=fields.integer("vocab_size"),
        width=width,
        inner_width=fields.integer("intermediate_size"),
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_width=head_width,
        norm_epsilon=fields.number("rms_norm_eps", 1e-6),
        context_tokens=context_tokens,
        rope=_parse_rope(fields, context_tokens),
        tied=fields.flag("tie_word_embeddings", False),
        qkv_bias=family == "qwen2" or attention_bias,
        output_bias=attention_bias,
        mlp_bias=family == "llama" and fields.flag("mlp_bias", False),
        qk_norm=family == "qwen3",
        windows=_windows(fields, family, n_layers),
    )


def _windows(fields: Fields, family: str, n_layers: int) -> tuple[int | None, ...]:
    """Return each layer's window as transformers would choose it."""
    everything = (None,) * n_layers
    if family == "llama":
        return everything
    if family == "mistral":
        absent = "sliding_window" not in fields.values
        if not absent and fields.values["sliding_window"] is None:
            return everything
        return (fields.integer("sliding_window", 4096),) * n_layers
    if not fields.flag("use_sliding_window", False):
        return everything
    window = fields.integer("sliding_window", 4096)
    kinds = fields.texts("layer_types", n_layers)
    if kinds is None:
        first = fields.integer("max_window_layers", 28, least=0)
        return tuple(window if layer >= first else None for layer in range(n_layers))
    if not set(kinds) <= {"full_attention", "sliding_attention"}:
        raise fields.wrong("layer_types", "full_attention or sliding_attention for each layer")
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _parse_rope(fields: Fields, context_tokens: int) -> RopeConfig:
    """Read ``rope_parameters`` (transformers 5) or ``rope_theta`` and ``rope_scaling`` (before)."""
    rope = fields.section("rope_parameters") or fields.section("rope_scaling") or Fields({}, fields.where)
    theta = rope.number("rope_theta", fields.number("rope_theta", 10_000.0))
    kind = rope.text("rope_type", rope.text("type", "default"))
    for holder in (rope, fields):
        holder.require("partial_rotary_factor", (None, 1, 1.0), None)
    original = rope.integer("original_max_position_embeddings", context_tokens)
    if kind in ("default", "dynamic"):
        # Dynamic scaling changes nothing within the trained context, and we never go beyond it.
        return RopeConfig(theta=theta)
    if kind == "linear":
        return RopeConfig(theta=theta, kind=kind, factor=rope.number("factor"))
    if kind == "llama3":
        low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
        if high <= low:
            raise rope.wrong("high_freq_factor", "above low_freq_factor")
        return RopeConfig(theta, kind, rope.number("factor"), original, low, high)
    if kind == "yarn":
        return _parse_yarn(rope, theta, original, context_tokens)
    raise ModelError(f"{rope.where}: rope scaling '{kind:.40}' is not supported")


def _parse_yarn(rope: Fields, theta: float, original: int, context_tokens: int) -> RopeConfig:
    def optional(key: str) -> float | None:
        return None if rope.values.get(key) is None else rope.number(key)

    return RopeConfig(
        theta=theta,
        kind="yarn",
        factor=rope.number("factor", context_tokens / original),
        original_tokens=original,
        attention_factor=optional("attention_factor"),
        beta_fast=rope.number("beta_fast", 32.0),
        beta_slow=rope.number("beta_slow", 1.0),
        truncate=rope.flag("truncate", True),
        mscale=optional("mscale"),
        mscale_all_dim=optional("mscale_all_dim"),
    )


def _parse_gpt2(fields: Fields) -> Gpt2Config:
    activations = {"gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu": "none"}
    activation = fields.text("activation_function", "gelu_new")
    if activation not in activations:
        raise ModelError(f"{fields.where}: 'activation_function' {activation:.40} is not supported")
    fields.require("add_cross_attention", (None, False), False)
    width, n_heads = fields.integer("n_embd"), fields.integer("n_head")
    if width % n_heads:
        raise fields.wrong("n_head", f"a divisor of n_embd ({width})")
    return Gpt2Config(
        vocab_size=fields.integer("vocab_size"),
        width=width,
        inner_width=fields.integer("n_inner", 4 * width),
        n_layers=fields.integer("n_layer", most=MAX_LAYERS),
        n_heads=n_heads,
        norm_epsilon=fields.number("layer_norm_epsilon", 1e-5),
        context_tokens=fields.integer("n_positions", 1024),
        gelu=activations[activation],
        scale_by_width=fields.flag("scale_attn_weights", True),
        scale_by_layer=fields.flag("scale_attn_by_inverse_layer_idx", False),
        tied=fields.flag("tie_word_embeddings", True),
    )

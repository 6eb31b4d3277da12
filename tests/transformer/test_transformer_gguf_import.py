"""GGUF files become model folders that compute what the file's numbers say."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from botkit_transformer import gguf_import
from gguf.constants import GGMLQuantizationType as Kind
from gguf_files import permuted, quantised, unpermuted, vocabulary, write_gpt2, write_llama
from safetensors.numpy import load_file
from transformer_families import GPT2, LLAMA, SlotState, load, make_reference

from botkit.errors import ModelError

SETTINGS = {
    **LLAMA,
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_attention_heads": 8,
    "num_hidden_layers": 1,
    "vocab_size": len(vocabulary()[0]) + 3,
}
KINDS = [
    *(Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1),
    *(Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K, Kind.IQ4_NL, Kind.IQ4_XS),
]


def numbers_of(reference) -> dict[str, np.ndarray]:
    tied = reference.config.tie_word_embeddings
    return {
        name: tensor.numpy()
        for name, tensor in reference.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }


def heads_of(name: str) -> int:
    """Return how many heads the rows of a query or key projection are ordered by, or 0."""
    heads = {"q_proj.weight": "num_attention_heads", "k_proj.weight": "num_key_value_heads"}
    return next((SETTINGS[key] for end, key in heads.items() if name.endswith(end)), 0)


def convert(path: Path, into: Path) -> Path:
    into.mkdir()
    gguf_import.convert(path, into, lambda done, total, what: None)
    return into


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_quantisation_is_read_as_the_library_reads_it(kind: Kind, tmp_path: Path) -> None:
    numbers = numbers_of(make_reference("llama", {**SETTINGS, "tie_word_embeddings": True}))
    write_llama(tmp_path / "m.gguf", numbers, SETTINGS, kind)

    got = load_file(convert(tmp_path / "m.gguf", tmp_path / "m") / "weights.safetensors")

    assert set(got) == set(numbers)
    for name, values in numbers.items():
        wanted = values
        if values.ndim > 1 and kind != Kind.F32:
            n_heads = heads_of(name)
            stored = permuted(values, n_heads) if n_heads else values
            raw = stored.astype(np.float16) if kind == Kind.F16 else quantised(stored, kind)
            wanted = gguf.dequantize(raw, kind)
            wanted = unpermuted(wanted, n_heads) if n_heads else wanted
        np.testing.assert_array_equal(got[name], wanted)
        assert got[name].dtype == np.float32
        assert got[name].shape == values.shape
        if kind in (Kind.F16, Kind.BF16, Kind.Q8_0):
            assert np.abs(got[name] - values).max() < 0.03 * np.abs(values).max()


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True, "head_dim": 64}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 64, "tie_word_embeddings": True}),
    ],
)
def test_an_imported_llama_computes_what_the_original_computes(architecture, changes, tmp_path) -> None:
    settings = {**SETTINGS, **changes}
    reference = make_reference(architecture, settings)
    write_llama(tmp_path / "m.gguf", numbers_of(reference), settings, architecture=architecture)

    model = load(convert(tmp_path / "m.gguf", tmp_path / "m"))

    assert_same_logits(model, reference)


def test_an_imported_gpt2_computes_what_the_original_computes(tmp_path: Path) -> None:
    settings = {**GPT2, "vocab_size": SETTINGS["vocab_size"]}
    reference = make_reference("gpt2", settings)
    write_gpt2(tmp_path / "m.gguf", numbers_of(reference), settings)

    assert_same_logits(load(convert(tmp_path / "m.gguf", tmp_path / "m")), reference)


def assert_same_logits(model, reference) -> None:
    tokens = list(range(1, 60))
    (got,) = SlotState.of(model, 1, 64).feed(model, {0: tokens})
    with torch.no_grad():
        wanted = reference(torch.tensor([tokens])).logits[0]
    assert (got - wanted).abs().max() < 1e-3


def test_llama3_rope_factors_are_recognised(tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10_000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    settings = {**SETTINGS, "head_dim": 128, "num_attention_heads": 2, "rope_parameters": rope}
    reference = make_reference("llama", settings)
    scaled = reference.model.rotary_emb.inv_freq.double().numpy()
    plain = 10_000.0 ** (-np.arange(0, 128, 2) / 128)
    factors = (plain / scaled).astype(np.float32)
    assert factors.max() > 31
    path = tmp_path / "m.gguf"
    write_llama(path, numbers_of(reference), settings, extra={"rope_freqs.weight": factors})

    folder = convert(path, tmp_path / "m")

    assert json.loads((folder / "config.json").read_text())["rope_parameters"] == rope
    assert_same_logits(load(folder), reference)

    path.unlink()
    write_llama(path, numbers_of(reference), settings, extra={"rope_freqs.weight": factors + 0.5})
    with pytest.raises(ModelError, match="rope factors"):
        convert(path, tmp_path / "n")


def test_linear_rope_scaling_is_carried_over(tmp_path: Path) -> None:
    settings = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    write_llama(
        tmp_path / "m.gguf", numbers_of(make_reference("llama", SETTINGS)), SETTINGS, settings=settings
    )

    config = json.loads((convert(tmp_path / "m.gguf", tmp_path / "m") / "config.json").read_text())

    assert config["rope_parameters"] == {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
    assert config["eos_token_id"] == 0
    assert config["bos_token_id"] == 1


@pytest.mark.parametrize(
    ("architecture", "line"),
    [("bert", "architecture 'bert' is not supported"), ("mamba", "'mamba' is not supported")],
)
def test_other_architectures_are_refused_by_name(architecture, line, tmp_path: Path) -> None:
    write_llama(tmp_path / "m.gguf", {}, SETTINGS, architecture=architecture)

    with pytest.raises(ModelError, match=line):
        convert(tmp_path / "m.gguf", tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda numbers: numbers.pop("model.layers.0.mlp.up_proj.weight"),
            "'blk.0.ffn_up.weight' is missing",
        ),
        (
            lambda numbers: numbers.update({"model.norm.weight": np.ones(200)}),
            "'output_norm.weight' has shape",
        ),
        (
            lambda numbers: numbers.update({"model.layers.0.mlp.up_proj.bias": np.ones(256)}),
            "'blk.0.ffn_up.bias' is not expected",
        ),
    ],
)
def test_missing_misshapen_and_unexpected_tensors_are_named(change, line, tmp_path: Path) -> None:
    numbers = numbers_of(make_reference("llama", SETTINGS))
    change(numbers)
    write_llama(tmp_path / "m.gguf", numbers, SETTINGS)

    with pytest.raises(ModelError, match=line) as caught:
        convert(tmp_path / "m.gguf", tmp_path / "m")
    assert "m.gguf" in str(caught.value)


def test_a_type_that_cannot_be_dequantised_is_refused_by_name(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_tensor("token_embd.weight", np.ones((4, 4), dtype=np.int32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    with pytest.raises(ModelError, match=r"'token_embd\.weight' is I32"):
        convert(tmp_path / "m.gguf", tmp_path / "m")


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    write_llama(tmp_path / "m.gguf", numbers_of(make_reference("llama", SETTINGS)), SETTINGS)
    (tmp_path / "m").mkdir()
    seen = []

    gguf_import.convert(tmp_path / "m.gguf", tmp_path / "m", lambda *said: seen.append(said))

    done, total, _ = seen[-1]
    assert done == total
    assert [said[0] for said in seen] == sorted(said[0] for said in seen)

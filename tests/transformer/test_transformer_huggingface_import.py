"""Hugging Face folders become model folders of ours, number for number, or are refused in one line."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from botkit_transformer import huggingface_import
from botkit_transformer.families import check_folder
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformer_families import LLAMA, SlotState, load, make_reference

from botkit.engine.library import ModelLibrary
from botkit.errors import BotkitError, EnvironmentFailure, ModelError
from botkit.plugins import Plugins

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]


def save(folder: Path, model_type: str = "llama", shard: str = "5GB", **changes: Any) -> Any:
    """Save a random model as transformers does, with a tokenizer of the same vocabulary; return the model."""
    model = make_reference(model_type, {**LLAMA, **changes})
    model.save_pretrained(folder, max_shard_size=shard)
    words = {f"w{number}": number for number in range(LLAMA["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("saved")
    return folder, save(folder)


@pytest.fixture
def origin(saved: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(saved[0], tmp_path / "origin"))


def convert(origin: Path, into: Path) -> Path:
    into.mkdir()
    huggingface_import.convert(origin, into, lambda done, total, what: None)
    return into


def assert_same_logits(folder: Path, reference: Any) -> None:
    model = load(folder)
    (got,) = SlotState.of(model, 1, 16).feed(model, {0: TOKENS})
    with torch.no_grad():
        wanted = reference(torch.tensor([TOKENS])).logits[0]
    assert (got - wanted).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"shard": "40KB"}),
        ("qwen3", {"tie_word_embeddings": True, "shard": "40KB", "head_dim": 16}),
    ],
    ids=["single", "tied", "sharded", "sharded-tied"],
)
def test_an_imported_folder_computes_what_the_original_computes(model_type, changes, tmp_path) -> None:
    reference = save(tmp_path / "origin", model_type, **changes)
    n_files = len(list((tmp_path / "origin").glob("*.safetensors")))
    assert (n_files > 2) is ("shard" in changes)

    folder = convert(tmp_path / "origin", tmp_path / "ours")

    check_folder(folder)
    assert_same_logits(folder, reference)
    assert [path.name for path in folder.glob("*.safetensors*")] == ["weights.safetensors"]


def test_numbers_keep_their_type(origin: Path, tmp_path: Path) -> None:
    weights = {name: tensor.bfloat16() for name, tensor in load_file(origin / "model.safetensors").items()}
    save_file(weights, origin / "model.safetensors")

    got = load_file(convert(origin, tmp_path / "ours") / "weights.safetensors")

    assert {name: tensor.dtype for name, tensor in got.items()} == dict.fromkeys(weights, torch.bfloat16)
    assert all(torch.equal(got[name], tensor) for name, tensor in weights.items())


def test_shards_are_joined_number_for_number(saved: tuple[Path, Any], tmp_path: Path) -> None:
    save(tmp_path / "origin", shard="40KB")

    got = load_file(convert(tmp_path / "origin", tmp_path / "ours") / "weights.safetensors")

    wanted = load_file(saved[0] / "model.safetensors")
    assert set(got) == set(wanted)
    assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def test_what_goes_with_the_tokenizer_comes_along_and_nothing_else(origin: Path, tmp_path: Path) -> None:
    for name in ("tokenizer_config.json", "generation_config.json", "special_tokens_map.json"):
        (origin / name).write_text("{}")
    (origin / "chat_template.jinja").write_text("{{ messages }}")
    (origin / "README.md").write_text("hello")
    (origin / "modeling.py").write_text("raise SystemExit")

    folder = convert(origin, tmp_path / "ours")

    assert {path.name for path in folder.iterdir()} == {
        "config.json", "tokenizer.json", "weights.safetensors", "tokenizer_config.json",
        "generation_config.json", "special_tokens_map.json", "chat_template.jinja",
    }  # fmt: skip


def test_what_is_imported_does_not_change_with_the_original(origin: Path, tmp_path: Path) -> None:
    folder = convert(origin, tmp_path / "ours")
    before = (folder / "weights.safetensors").read_bytes()

    with (origin / "model.safetensors").open("r+b") as file:
        file.write(bytes(100))

    assert (folder / "weights.safetensors").read_bytes() == before


def test_a_tied_head_and_old_constants_in_the_file_are_no_obstacle(origin: Path, tmp_path: Path) -> None:
    weights = load_file(origin / "model.safetensors")
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, origin / "model.safetensors")
    edit(origin, tie_word_embeddings=True)

    folder = convert(origin, tmp_path / "ours")

    check_folder(folder)
    load(folder)


def edit(origin: Path, **changes: Any) -> None:
    config = json.loads((origin / "config.json").read_text())
    (origin / "config.json").write_text(json.dumps({**config, **changes}))


def pickled(origin: Path) -> None:
    (origin / "model.safetensors").rename(origin / "pytorch_model.bin")


def cut(origin: Path) -> None:
    path = origin / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def bomb(origin: Path) -> None:
    (origin / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")


def integers(origin: Path) -> None:
    weights = load_file(origin / "model.safetensors")
    save_file(
        {**weights, "model.norm.weight": torch.ones(48, dtype=torch.int32)}, origin / "model.safetensors"
    )


def without(name: str) -> Callable[[Path], None]:
    def remove(origin: Path) -> None:
        weights = load_file(origin / "model.safetensors")
        del weights[name]
        save_file(weights, origin / "model.safetensors")

    return remove


def index(places: Any, present: bool = True) -> Callable[[Path], None]:
    def write(origin: Path) -> None:
        (origin / "model.safetensors").rename(origin / "model-1.safetensors")
        if not present:
            (origin / "model-1.safetensors").unlink()
        (origin / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))

    return write


def twice(origin: Path) -> None:
    shutil.copyfile(origin / "model.safetensors", origin / "b.safetensors")
    index({"a": "model-1.safetensors", "b": "b.safetensors"})(origin)


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing tokenizer": (lambda at: (at / "tokenizer.json").unlink(), "there is no tokenizer.json"),
    "sentencepiece alone": (
        lambda at: (at / "tokenizer.json").rename(at / "tokenizer.model"), "no tokenizer.json"
    ),
    "pickles": (pickled, "its weights are pickles"),
    "no weights": (lambda at: (at / "model.safetensors").unlink(), "there are no safetensors weights"),
    "truncated": (cut, "is truncated: 100 of"),
    "header bomb": (bomb, "has a header of 1,099,511,627,776 bytes"),
    "empty weights": (lambda at: (at / "model.safetensors").write_bytes(b""), "is truncated"),
    "integers": (integers, "tensor 'model.norm.weight' is I32, which is not supported"),
    "missing tensor": (without("model.norm.weight"), "tensor 'model.norm.weight' is missing"),
    "other shape": (lambda at: edit(at, intermediate_size=81), "has shape"),
    "more layers": (lambda at: edit(at, num_hidden_layers=4), "'model.layers.3.* is missing"),
    "fewer layers": (lambda at: edit(at, num_hidden_layers=2), "'model.layers.2.* is not expected"),
    "config bomb": (lambda at: edit(at, num_hidden_layers=1 << 40), "'num_hidden_layers' must be"),
    "layer bomb": (lambda at: edit(at, num_hidden_layers=1 << 20), "'num_hidden_layers' must be"),
    "broken config": (lambda at: (at / "config.json").write_text("{"), "config.json is corrupt"),
    "encoder": (lambda at: edit(at, model_type="bert"), "bert is not an autoregressive generator"),
    "encoder-decoder": (lambda at: edit(at, model_type="t5"), "t5 is an encoder-decoder"),
    "state space": (lambda at: edit(at, model_type="mamba"), "mamba is a state-space model"),
    "experts": (lambda at: edit(at, model_type="mixtral"), "mixtral is a mixture of experts"),
    "unknown type": (lambda at: edit(at, model_type="zzz"), "zzz is not a supported architecture"),
    "no type": (lambda at: edit(at, model_type=None), "'model_type' is missing|must be a text"),
    "quantised": (lambda at: edit(at, quantization_config={"bits": 4}), "'quantization_config'"),
    "index without a map": (index([]), "'weight_map' is missing"),
    "index to elsewhere": (index({"a": "../model.safetensors"}), "is not the name of a safetensors file"),
    "index to a pickle": (index({"a": "model.bin"}), "is not the name of a safetensors file"),
    "shard missing": (index({"a": "model-1.safetensors"}, present=False), "model-1.safetensors is missing"),
    "tensor in two shards": (twice, "is in two of its files"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "line"), BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_used_is_one_line_and_leaves_nothing(origin, tmp_path, spoil, line) -> None:
    spoil(origin)
    library = ModelLibrary(tmp_path / "models")

    with pytest.raises(BotkitError, match=line) as caught:
        library.pull(str(origin), Plugins.load(disabled=["web"]), lambda done, total, what: None)

    assert isinstance(caught.value, ModelError)
    assert str(origin) in str(caught.value)
    assert "\n" not in caught.value.line()
    assert len(caught.value.line()) < 600
    assert library.names() == []
    assert list(library.folder.glob("*")) == [library.folder / ".pull"]
    assert [path.suffix for path in library.folder.glob(".pull/*")] == [".lock"]


def test_a_full_disk_is_one_line(origin: Path, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "weights.safetensors").symlink_to("/dev/full")

    with pytest.raises(EnvironmentFailure, match="the disk is full"):
        huggingface_import.convert(origin, tmp_path / "ours", lambda done, total, what: None)


def test_a_pulled_folder_is_described_and_exported_for_transformers(saved, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder, reference = saved
    library = ModelLibrary(tmp_path / "models")
    name = library.pull(str(folder), Plugins.load(disabled=["web"]), lambda *one: None, name="tiny")

    out = library.export(name, tmp_path / "out", "safetensors", lambda *one: None)

    facts = library.describe(name)
    assert facts.parameters == sum(tensor.numel() for tensor in reference.parameters())
    assert (facts.architecture, facts.context_tokens) == ("llama", 256)
    again = AutoModelForCausalLM.from_pretrained(out)
    assert all(torch.equal(again.state_dict()[key], value) for key, value in reference.state_dict().items())

"""The vocabulary inside a GGUF file becomes a tokenizer that cuts, joins and marks as the file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from botkit_transformer.gguf_header import read_header
from botkit_transformer.gguf_tokenizer import write_tokenizer
from gguf_files import CONTROLS, add_tokenizer, finish, vocabulary
from tokenizers import Tokenizer

from botkit.engine.codec import TextCodec
from botkit.errors import ModelError
from botkit.types import PromptTurn

SCORED = {
    "<unk>": (0.0, 2), "<s>": (0.0, 3), "</s>": (0.0, 3), "▁": (-1.0, 1), "h": (-2.0, 1), "e": (-3.0, 1),
    "l": (-4.0, 1), "o": (-5.0, 1), "he": (-6.0, 1), "ll": (-7.0, 1), "hell": (-8.0, 1), "lo": (-6.5, 1),
    "▁he": (-9.0, 1), **{f"<0x{byte:02X}>": (0.0, 6) for byte in range(256)},
}  # fmt: skip
"""A sentencepiece vocabulary: score and type by token."""


def written(tmp_path: Path, writer: gguf.GGUFWriter) -> Path:
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), dtype=np.float32))
    finish(writer)
    write_tokenizer(read_header(tmp_path / "m.gguf"), tmp_path, 1000)
    return tmp_path


def byte_level(tmp_path: Path, pre: str = "smollm", **changes: Any) -> Path:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    add_tokenizer(writer, pre, **changes)
    return written(tmp_path, writer)


def sentencepiece(tmp_path: Path, **flags: bool) -> Path:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(SCORED))
    writer.add_token_scores([score for score, _ in SCORED.values()])
    writer.add_token_types([kind for _, kind in SCORED.values()])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for key, value in flags.items():
        writer.add_bool(f"tokenizer.ggml.{key}", value)
    return written(tmp_path, writer)


def tokens(folder: Path, text: str) -> list[str]:
    return Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).tokens


@pytest.mark.parametrize(
    ("pre", "cut"),
    [
        ("smollm", ["Ġ", "the", "Ġ", "1", "2", "3"]),
        ("gpt-2", ["Ġ", "the", "Ġ", "12", "3"]),
        ("default", ["Ġ", "the", "Ġ", "12", "3"]),
        ("llama-bpe", ["Ġthe", "Ġ", "12", "3"]),
        ("qwen2", ["Ġ", "the", "Ġ", "1", "2", "3"]),
    ],
)
def test_the_named_way_of_cutting_is_followed(tmp_path: Path, pre: str, cut: list[str]) -> None:
    assert tokens(byte_level(tmp_path, pre), " the 123") == cut


@pytest.mark.parametrize("pre", ["smollm", "gpt-2", "llama-bpe", "qwen2"])
@pytest.mark.parametrize("text", ["the then in 12", "ž 東京 \U0001f600\n\n\t x", "I'll  don't", "a\r\n b"])
def test_text_survives_the_round_trip(tmp_path: Path, pre: str, text: str) -> None:
    tokenizer = Tokenizer.from_file(str(byte_level(tmp_path, pre) / "tokenizer.json"))

    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_ids_are_the_places_in_the_file(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(byte_level(tmp_path) / "tokenizer.json"))

    words, _ = vocabulary()
    assert [tokenizer.token_to_id(word) for word in words] == list(range(len(words)))
    assert tokenizer.get_vocab_size() == len(words)


def test_control_tokens_are_special_and_user_defined_ones_are_only_whole(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(byte_level(tmp_path) / "tokenizer.json"))

    encoded = tokenizer.encode("in<|end|>in<|user|>", add_special_tokens=False)

    assert encoded.tokens == ["in", CONTROLS[0], "in", "<|user|>"]
    assert tokenizer.decode(encoded.ids) == "inin<|user|>"


def test_the_template_and_the_named_tokens_are_carried_over(tmp_path: Path) -> None:
    codec = TextCodec.load(byte_level(tmp_path))

    ids = codec.encode_chat([PromptTurn("user", "the <|end|>")])

    assert ids[0] == 1
    assert ids[-1] == 0
    assert ids[1:-1].count(0) == 0
    assert 0 in codec.stop_ids


@pytest.mark.parametrize(("pre", "begins"), [("llama-bpe", True), ("smollm", False), ("gpt-2", False)])
def test_text_begins_with_bos_where_the_family_does(tmp_path: Path, pre: str, begins: bool) -> None:
    assert (TextCodec.load(byte_level(tmp_path, pre)).encode_text("in")[0] == 1) is begins


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("hello", ["▁he", "l", "lo"]),  # "lo" scores above "ll" and "hell"
        ("hell", ["▁", "hell"]),
        ("é", ["▁", "<0xC3>", "<0xA9>"]),
        ("he he", ["▁he", "▁he"]),
    ],
)
def test_sentencepiece_merges_the_best_scored_neighbours(tmp_path: Path, text: str, cut: list[str]) -> None:
    folder = sentencepiece(tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    encoded = tokenizer.encode(text, add_special_tokens=False)

    assert encoded.tokens == cut
    assert tokenizer.decode(encoded.ids) == text


def test_sentencepiece_flags_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = sentencepiece(tmp_path / "a")
    assert TextCodec.load(plain).encode_text("he") == [1, list(SCORED).index("▁he")]

    bare = sentencepiece(tmp_path / "b", add_space_prefix=False, add_bos_token=False)
    assert TextCodec.load(bare).encode_text("he") == [list(SCORED).index("he")]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"model": "bert"}, "tokenizer 'bert' is not supported"),
        ({"model": "t5"}, "tokenizer 't5' is not supported"),
        ({"pre": "deepseek-coder"}, "pre-tokenizer 'deepseek-coder' is not supported"),
        ({"merges": ["t h", "q z"]}, "merge 'q z' is not of known tokens"),
        ({"merges": ["th"]}, "is not of known tokens"),
        ({"tokens": ["a", "a", "b"]}, "a token occurs twice"),
        ({"kinds": [1, 1]}, "tokens and their types differ"),
        ({"tokens": [f"t{n}" for n in range(1001)]}, "holds 1001 tokens, but the model knows 1000"),
        ({"eos": 999}, "eos_token_id' must be below"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_one_line(
    tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    with pytest.raises(ModelError, match=line) as caught:
        byte_level(tmp_path, **changes)

    assert "m.gguf" in str(caught.value)
    assert "\n" not in caught.value.line()


def test_a_file_without_a_tokenizer_is_one_line(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")

    with pytest.raises(ModelError, match=r"'tokenizer\.ggml\.tokens' is missing"):
        written(tmp_path, writer)


def test_what_is_written_is_plain_json(tmp_path: Path) -> None:
    settings = json.loads((byte_level(tmp_path) / "tokenizer_config.json").read_text())

    assert settings["eos_token"] == "<|end|>"
    assert settings["bos_token"] == "<|start|>"
    assert "chat_template" in settings

"""Broken and hostile GGUF headers end in one ModelError, quickly and in little memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import botkit_transformer
import numpy as np
import pytest
from botkit_transformer import gguf_import
from botkit_transformer.gguf_header import read_header
from gguf_files import write_llama
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformer_families import LLAMA, make_reference

from botkit.errors import BotkitError, ModelError

VOCAB = 300


def head(n_tensors: int = 0, n_entries: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_entries)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def tensor(name: str, dims: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


HOSTILE = {
    "empty": b"",
    "magic alone": b"GGUF",
    "another format": b"GGML" + bytes(100),
    "version 1": head(version=1),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 1, 1),
    "a billion tensors": head(n_tensors=1 << 30),
    "a billion entries": head(n_entries=1 << 30),
    "entries that are not there": head(n_entries=4000),
    "tensors that are not there": head(n_tensors=30_000),
    "a text of exabytes": head(n_entries=1) + struct.pack("<Q", 1 << 62),
    "a text beyond the end": head(n_entries=1) + struct.pack("<Q", 1 << 20),
    "an array of exa-items": head(n_entries=1) + text("k") + struct.pack("<IIQ", 9, 0, 1 << 62),
    "an array beyond the end": head(n_entries=1) + text("k") + struct.pack("<IIQ", 9, 12, 1 << 21),
    "an array of texts beyond the end": head(n_entries=1) + text("k") + struct.pack("<IIQ", 9, 8, 1 << 21),
    "arrays in arrays": head(n_entries=1) + text("k") + struct.pack("<IIQ", 9, 9, 1 << 20),
    "an unknown type": head(n_entries=1) + text("k") + struct.pack("<I", 77),
    "a key twice": head(n_entries=2) + 2 * (text("k") + struct.pack("<IB", 0, 1)),
    "alignment 0": head(n_entries=1) + text("general.alignment") + struct.pack("<II", 4, 0),
    "alignment 24": head(n_entries=1) + text("general.alignment") + struct.pack("<II", 4, 24),
    "alignment as text": head(n_entries=1) + text("general.alignment") + struct.pack("<I", 8) + text("x"),
    "no dimension": head(n_tensors=1) + tensor("t", ()),
    "ten dimensions": head(n_tensors=1) + tensor("t", (1,) * 10),
    "four billion dimensions": head(n_tensors=1) + text("t") + struct.pack("<I", 0xFFFFFFFF),
    "a dimension of 0": head(n_tensors=1) + tensor("t", (0, 4)),
    "dimensions that overflow": head(n_tensors=1) + tensor("t", (1 << 63, 1 << 63)),
    "an unknown tensor type": head(n_tensors=1) + tensor("t", (4,), kind=9999),
    "half a block": head(n_tensors=1) + tensor("t", (33,), kind=8),
    "a tensor beyond the end": head(n_tensors=1) + tensor("t", (4,), offset=1 << 60) + bytes(64),
    "a tensor larger than the file": head(n_tensors=1) + tensor("t", (1 << 38,)) + bytes(64),
    "an odd offset": head(n_tensors=1) + tensor("t", (4,), offset=3) + bytes(128),
    "tensors over one another": head(n_tensors=2) + tensor("a", (16,)) + tensor("b", (16,)) + bytes(256),
    "a tensor twice": head(n_tensors=2)
    + tensor("a", (8,))
    + tensor("a", (8,), offset=32)
    + bytes(256),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_headers_are_refused_in_one_line_without_cost(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bomb.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    started = time.perf_counter()

    with pytest.raises(ModelError) as caught:
        read_header(path)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    assert time.perf_counter() - started < 2
    assert str(path) in str(caught.value)
    assert "\n" not in caught.value.line()


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_header(tmp_path / "none.gguf")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "sound.gguf"
    config = {**LLAMA, "num_hidden_layers": 1, "vocab_size": VOCAB, "tie_word_embeddings": True}
    reference = make_reference("llama", config)
    numbers = {k: v.numpy() for k, v in reference.state_dict().items() if k != "lm_head.weight"}
    write_llama(path, numbers, config)
    return path.read_bytes()


def attempt(content: bytes, folder: Path) -> str:
    """Convert; return what became of it.  Anything but a folder or an error of ours fails the test."""
    path, into = folder / "f.gguf", folder / "out"
    path.write_bytes(content)
    into.mkdir(exist_ok=True)
    try:
        gguf_import.convert(path, into, lambda done, total, what: None)
    except BotkitError as error:
        return error.line()
    return ""


def test_a_sound_file_converts(sound: bytes, tmp_path: Path) -> None:
    assert attempt(sound, tmp_path) == ""


def test_a_file_cut_anywhere_is_refused(sound: bytes, tmp_path: Path) -> None:
    for length in [*range(0, 2000, 37), *np.linspace(2000, len(sound) - 1, 60, dtype=int)]:
        assert attempt(sound[:length], tmp_path), length


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_header_with_flipped_bytes_converts_or_is_refused(sound, tmp_path, changes) -> None:
    content = bytearray(sound)
    for place, value in changes:
        content[place] = value

    attempt(bytes(content), tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(tail=st.binary(max_size=300), n_tensors=st.integers(0, 5), n_entries=st.integers(0, 5))
def test_random_headers_are_refused(tmp_path, tail, n_tensors, n_entries) -> None:
    assert attempt(head(n_tensors, n_entries) + tail, tmp_path)


def test_the_importer_recognises_its_files_by_magic(sound: bytes, tmp_path: Path) -> None:
    importers: list = []
    botkit_transformer.register_importers(register=importers.append)
    by_name = {importer.name: importer for importer in importers}
    (tmp_path / "model.bin").write_bytes(sound)
    (tmp_path / "other.gguf").write_bytes(b"PK")

    assert by_name["gguf"].recognises(tmp_path / "model.bin")
    assert not by_name["gguf"].recognises(tmp_path / "other.gguf")
    assert not by_name["gguf"].recognises(tmp_path)
    assert not by_name["gguf"].recognises(tmp_path / "none")
    assert not by_name["huggingface"].recognises(tmp_path)
    assert not by_name["huggingface"].recognises(tmp_path / "model.bin")

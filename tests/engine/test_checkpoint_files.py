"""A checkpoint believes no file: whatever is off is one line that names the file."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from botkit.engine.checkpoint import MAX_CONFIG_BYTES, Checkpoint, read_header
from botkit.errors import ModelError

WEIGHTS = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 7}))
    save_file(WEIGHTS, tmp_path / "weights.safetensors")
    return tmp_path


def framed(header: Any, body: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_sound_files_are_opened_and_their_tensors_are_the_stored_ones(folder: Path) -> None:
    checkpoint = Checkpoint.open(folder)

    tensors = checkpoint.tensors()

    assert checkpoint.model_type == "llama"
    assert checkpoint.n_parameters == 10
    assert checkpoint.weight_bytes == 32
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        name: tensor.tolist() for name, tensor in WEIGHTS.items()
    }
    assert tensors["b"].dtype == torch.bfloat16


def test_architecture_goes_before_model_type(folder: Path) -> None:
    (folder / "config.json").write_text('{"architecture": "lstm", "model_type": "llama"}')

    assert Checkpoint.open(folder).model_type == "lstm"


def test_a_config_that_names_no_family_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{}")

    with pytest.raises(ModelError, match=r"config\.json does not name an architecture"):
        _ = Checkpoint.open(folder).model_type


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[1]", "not an object"),
        (b"{", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": ' + b"[" * 200_000, "nests too deeply"),
        (b" " * (MAX_CONFIG_BYTES + 1), "is longer than"),
        (None, "is missing"),
    ],
)
def test_a_broken_config_is_one_line(folder: Path, content: bytes | None, fault: str) -> None:
    path = folder / "config.json"
    path.unlink() if content is None else path.write_bytes(content)

    with pytest.raises(ModelError, match=rf"config\.json .*{fault}") as caught:
        Checkpoint.open(folder)

    assert "\n" not in caught.value.line()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is truncated"),
        (b"\x01\x02", "is truncated"),
        (struct.pack("<Q", 2**63) + b"{}", "has a header of"),
        (struct.pack("<Q", 1000) + b"{}", "is truncated"),
        (framed(b"not json"), "cannot be read"),
        (framed(b"[]"), "not an object"),
        (framed(b"{}"), "holds no tensors"),
        (framed(b'{"a": ' + b"[" * 100_000), "nests too deeply"),
        (framed({"a": 5}), "without a description"),
        (framed({"a": entry(dtype="PICKLE")}, bytes(8)), "unsupported type"),
        (framed({"a": entry(dtype=[])}, bytes(8)), "unsupported type"),
        (framed({"a": entry(shape=[-2])}, bytes(8)), "impossible shape"),
        (framed({"a": entry(shape=[2.0])}, bytes(8)), "impossible shape"),
        (framed({"a": entry(shape=[True, 2])}, bytes(8)), "impossible shape"),
        (framed({"a": entry(shape=[1] * 99)}, bytes(8)), "impossible shape"),
        (framed({"a": entry(shape=[2**60, 2**60])}, bytes(8)), "impossible shape"),
        (framed({"a": entry(offsets=[0])}, bytes(8)), "without a place"),
        (framed({"a": entry(offsets=[8, 0])}, bytes(8)), "does not fit"),
        (framed({"a": entry(shape=[2**40])}, bytes(8)), "does not fit"),
        (framed({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "overlaps"),
        (framed({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), "leaves a gap"),
        (framed({"a": entry(offsets=(4, 12))}, bytes(12)), "leaves a gap"),
        (framed({"a": entry()}, bytes(9)), "follow its last tensor"),
        (framed({"a": entry(shape=[2**38], offsets=(0, 2**40))}, bytes(8)), "bytes of weights are missing"),
    ],
)
def test_a_hostile_header_is_one_line_before_any_tensor_is_made(
    folder: Path, content: bytes, fault: str
) -> None:
    (folder / "weights.safetensors").write_bytes(content)

    with pytest.raises(ModelError, match=rf"weights\.safetensors .*{fault}") as caught:
        Checkpoint.open(folder)

    assert "\n" not in caught.value.line()
    assert caught.value.hint


@given(keep=st.integers(min_value=0, max_value=len(save(WEIGHTS)) - 1))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, keep: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "weights.safetensors"
    path.write_bytes(save(WEIGHTS)[:keep])

    with pytest.raises(ModelError):
        read_header(path)


def test_a_missing_folder_and_missing_weights_are_said(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()

    with pytest.raises(ModelError, match=r"weights\.safetensors is missing"):
        Checkpoint.open(folder)
    with pytest.raises(ModelError, match="no model folder"):
        Checkpoint.open(folder / "absent")


def test_a_folder_in_the_place_of_a_file_is_said(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").mkdir()

    with pytest.raises(ModelError, match="cannot be read"):
        Checkpoint.open(folder)

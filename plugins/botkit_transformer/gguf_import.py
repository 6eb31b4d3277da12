"""Turns one GGUF file of the Llama family or GPT-2 into a model folder of ours.

The header is checked by ``gguf_header`` before anything else happens; tensors are dequantised by the
``gguf`` library a few rows at a time, and nothing is kept in memory but those rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from gguf.constants import GGMLQuantizationType

from botkit.engine.disk import writing
from botkit.errors import ModelError
from botkit_transformer.families import expected_of
from botkit_transformer.gguf_config import ROPE_FREQUENCIES, Origin, config_of, origin_of
from botkit_transformer.gguf_header import GgufHeader, GgufTensor, read_header
from botkit_transformer.gguf_tokenizer import write_tokenizer
from botkit_transformer.safetensors_writer import n_bytes_of, write_safetensors
from botkit_transformer.weights import Shape, check_tensors

PIECE_ITEMS = 4 << 20
"""How many numbers are dequantised at a time."""

QUANTISATIONS = (
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S", "IQ1_M", "IQ4_NL", "IQ4_XS"),
    *("TQ1_0", "TQ2_0"),
)
"""The tensor types that the ``gguf`` library can turn back into numbers."""


def convert(path: Path, into: Path, progress: Callable[[int, int, str], None]) -> None:
    """Write ``config.json``, ``tokenizer.json`` and ``weights.safetensors`` (float32) into *into*.

    *progress* gets bytes written, bytes in all, and what is being done.  Raises ModelError with one line for
    a file that cannot be used, EnvironmentFailure where *into* cannot be written.
    """
    header = read_header(path)
    for tensor in header.tensors.values():
        if tensor.kind.name not in QUANTISATIONS:
            raise ModelError(f"{path}: tensor '{tensor.name}' is {tensor.kind.name}, which is not supported")
    rope = header.tensors.get(ROPE_FREQUENCIES)
    factors = None if rope is None else next(_pieces(header.path, rope, Origin(rope.name)))
    config = config_of(header, factors)
    architecture = header.metadata["general.architecture"]
    expected, _ = expected_of(config, str(path))
    origins = {name: origin_of(name, config, architecture) for name in expected}
    _check(header, expected, origins)
    write_tokenizer(header, into, config["vocab_size"])
    with writing(into):
        (into / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    layout = {name: ("F32", shape) for name, shape in expected.items()}
    total = n_bytes_of(layout)

    def pieces() -> Iterator[npt.NDArray[np.float32]]:
        done = 0
        for name in expected:
            for piece in _pieces(header.path, header.tensors[origins[name].name], origins[name]):
                yield piece
                done += piece.nbytes
                progress(done, total, "dequantising")

    write_safetensors(into / "weights.safetensors", layout, pieces())


def _check(header: GgufHeader, expected: Mapping[str, Shape], origins: Mapping[str, Origin]) -> None:
    """See that the file holds exactly the tensors that its metadata promise, in their shapes."""
    wanted = {}
    for name, shape in expected.items():
        wanted[origins[name].name] = shape[::-1] if origins[name].transposed else shape
    found = {name: tensor.shape for name, tensor in header.tensors.items() if name != ROPE_FREQUENCIES}
    check_tensors(found, wanted, str(header.path))


def _pieces(path: Path, tensor: GgufTensor, origin: Origin) -> Iterator[npt.NDArray[np.float32]]:
    """Yield *tensor* dequantised, a few rows at a time, in the order that *origin* asks for."""
    n_rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
    if origin.rows is not None and len(tensor.shape) == 1:
        yield _dequantised(_raw(path, tensor, 1), tensor.kind).reshape(-1)[origin.rows]
        return
    raw = _raw(path, tensor, n_rows)
    if origin.transposed:
        yield np.ascontiguousarray(_dequantised(raw, tensor.kind).T)
        return
    step = max(1, PIECE_ITEMS * n_rows // int(np.prod(tensor.shape)))
    for first in range(0, n_rows, step):
        # Rows are quantised one by one, so their order can be changed before they are dequantised.
        some = slice(first, first + step)
        rows = raw[some] if origin.rows is None else raw[origin.rows[some]]
        piece = _dequantised(rows, tensor.kind)
        yield piece if len(tensor.shape) > 1 else piece.reshape(-1)


def _raw(path: Path, tensor: GgufTensor, n_rows: int) -> npt.NDArray[np.uint8]:
    shape = (n_rows, tensor.n_bytes // n_rows)
    return np.memmap(path, dtype=np.uint8, mode="r", offset=tensor.offset, shape=shape)


def _dequantised(rows: npt.NDArray[np.uint8], kind: GGMLQuantizationType) -> npt.NDArray[np.float32]:
    numbers: npt.NDArray[np.float32] = gguf.dequantize(np.ascontiguousarray(rows), kind)
    return np.ascontiguousarray(numbers, dtype=np.float32)

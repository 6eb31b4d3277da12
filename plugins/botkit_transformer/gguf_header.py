"""A GGUF file's header, read with every length checked against the file before it is believed.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.  A header may claim anything - four
billion entries, strings of exabytes, tensors behind the end - so nothing is allocated for a claim that the
file's real size does not back, and what remains is capped.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from botkit.errors import ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_ENTRIES = 4096
MAX_TENSORS = 32_768
MAX_STRING_BYTES = 4 << 20
MAX_ITEMS = 4 << 20
"""The most array items of all entries together: a vocabulary of a quarter million needs under one million."""
MAX_HEADER_BYTES = 256 << 20
MAX_DIMENSIONS = 4
DEFAULT_ALIGNMENT = 32

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", _BOOL: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor of the file: *shape* has the slowest axis first; *offset* counts bytes of the file."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself; tensors are within the file and do not overlap."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of *path*; raises ModelError with one line for a broken or hostile file."""
    try:
        with path.open("rb") as file:
            return _Reader(path, file, path.stat().st_size).header()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error


class _Reader:
    """Reads forward through one header and refuses to go beyond the file or the caps."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path, self._file, self._size = path, file, size
        self._at = 0
        self._items = 0

    def header(self) -> GgufHeader:
        if self._take(4) != MAGIC:
            raise self._broken("it is not a GGUF file")
        version = self._scalar("I")
        if version not in VERSIONS:
            raise self._broken(f"GGUF version {version} is not supported (big-endian files are not either)")
        n_tensors, n_entries = self._scalar("Q"), self._scalar("Q")
        if n_tensors > MAX_TENSORS:
            raise self._broken(f"its header claims {n_tensors} tensors, more than {MAX_TENSORS}")
        if n_entries > MAX_ENTRIES:
            raise self._broken(f"its header claims {n_entries} metadata entries, more than {MAX_ENTRIES}")
        metadata: dict[str, Any] = {}
        for _ in range(n_entries):
            key = self._string()
            if key in metadata:
                raise self._broken(f"metadata entry '{key:.60}' occurs twice")
            metadata[key] = self._value(self._scalar("I"), key)
        claims = [self._tensor_claim() for _ in range(n_tensors)]
        return GgufHeader(self._path, metadata, self._placed(claims, self._alignment(metadata)))

    def _broken(self, what: str) -> ModelError:
        return ModelError(f"{self._path}: {what}", hint="the file is damaged or not meant for this")

    def _take(self, n_bytes: int) -> bytes:
        self._at += n_bytes
        if self._at > self._size:
            raise self._broken("the file ends within its header")
        if self._at > MAX_HEADER_BYTES:
            raise self._broken(f"its header is longer than {MAX_HEADER_BYTES >> 20} MiB")
        return self._file.read(n_bytes)

    def _scalar(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))[0]

    def _string(self) -> str:
        length = self._scalar("Q")
        if length > MAX_STRING_BYTES:
            raise self._broken(f"its header holds a text of {length} bytes")
        return self._take(length).decode("utf-8", errors="replace")

    def _value(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self._string()
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind != _ARRAY:
            raise self._broken(f"metadata entry '{key:.60}' has the unknown type {kind}")
        kind, length = self._scalar("I"), self._scalar("Q")
        self._items += length
        if self._items > MAX_ITEMS:
            raise self._broken(f"metadata entry '{key:.60}' claims an array of {length} items")
        if kind == _STRING:
            return [self._string() for _ in range(length)]
        if kind not in _SCALARS:
            raise self._broken(f"metadata entry '{key:.60}' holds arrays of the unsupported type {kind}")
        dtype = np.dtype(_SCALARS[kind]).newbyteorder("<")
        return np.frombuffer(self._take(length * dtype.itemsize), dtype).tolist()

    def _alignment(self, metadata: Mapping[str, Any]) -> int:
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        sound = type(alignment) is int and 0 < alignment <= 1 << 20 and alignment & (alignment - 1) == 0
        if not sound:
            raise self._broken("its alignment is not a power of two")
        return int(alignment)

    def _tensor_claim(self) -> GgufTensor:
        name, n_dimensions = self._string(), self._scalar("I")
        if not 1 <= n_dimensions <= MAX_DIMENSIONS:
            raise self._broken(f"tensor '{name:.60}' has {n_dimensions} dimensions")
        shape = tuple(self._scalar("Q") for _ in range(n_dimensions))[::-1]
        number, offset = self._scalar("I"), self._scalar("Q")
        try:
            kind = GGMLQuantizationType(number)
        except ValueError as error:
            raise self._broken(f"tensor '{name:.60}' has the unknown type {number}") from error
        block_items, block_bytes = GGML_QUANT_SIZES[kind]
        if not all(0 < n < 1 << 40 for n in shape) or shape[-1] % block_items:
            raise self._broken(f"tensor '{name:.60}' has the impossible shape {list(shape)}")
        n_bytes = math.prod(shape) // block_items * block_bytes
        return GgufTensor(name, shape, kind, offset, n_bytes)

    def _placed(self, claims: list[GgufTensor], alignment: int) -> dict[str, GgufTensor]:
        """Turn offsets within the tensor section into offsets within the file; see that all are sound."""
        start = -(-self._at // alignment) * alignment
        placed: dict[str, GgufTensor] = {}
        end = start
        for claim in sorted(claims, key=lambda claim: claim.offset):
            offset = start + claim.offset
            if claim.name in placed:
                raise self._broken(f"tensor '{claim.name:.60}' occurs twice")
            if claim.offset % alignment or offset < end:
                raise self._broken(f"tensor '{claim.name:.60}' lies across another or off its alignment")
            end = offset + claim.n_bytes
            if end > self._size:
                raise self._broken(f"the file ends before tensor '{claim.name:.60}' does: it is truncated")
            placed[claim.name] = GgufTensor(claim.name, claim.shape, claim.kind, offset, claim.n_bytes)
        return placed

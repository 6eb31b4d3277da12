"""A model folder's ``config.json`` and ``weights.safetensors``, checked before any tensor is made.

Nothing here unpickles, and nothing here believes a file: lengths, types and shapes are checked against the
real size of the file first.  Tokenizers live in ``codec``; where model folders come from, in ``library``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeGuard

from botkit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
MAX_CONFIG_BYTES = 4 * 2**20
MAX_HEADER_BYTES = 16 * 2**20
MAX_DIMENSIONS = 8
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1
}  # fmt: skip
"""The element types a safetensors file may have here, with their size in bytes."""

_PULL_AGAIN = "remove the model and pull it again"


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as a safetensors header states it: *start* and *end* count bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def n_elements(self) -> int:
        """Return how many numbers the tensor holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Checkpoint:
    """A model folder whose configuration and weights have been found sound.  Holds no open file."""

    folder: Path
    config: dict[str, Any]
    entries: Mapping[str, TensorEntry]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read *folder*'s configuration and check its weights' header; makes no tensor, imports no torch.

        Raises ModelError with one line that names the file and what to do about it.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ModelError(
                f"there is no model folder {folder}", hint="botkit models list shows what there is"
            )
        return cls(folder, read_json_object(folder / CONFIG), read_header(folder / WEIGHTS))

    @property
    def model_type(self) -> str:
        """The family of the model: ``architecture`` of its configuration, else ``model_type``."""
        kind = self.config.get("architecture") or self.config.get("model_type")
        if not isinstance(kind, str):
            raise ModelError(f"{self.folder / CONFIG} does not name an architecture", hint=_PULL_AGAIN)
        return kind

    @property
    def n_parameters(self) -> int:
        """How many numbers the weights hold."""
        return sum(entry.n_elements for entry in self.entries.values())

    @property
    def weight_bytes(self) -> int:
        """How many bytes the weights take, as stored."""
        return sum(entry.end - entry.start for entry in self.entries.values())

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights by name, mapped from the file: pages are read when they are first touched.

        The tensors are on the CPU in their stored types.  Raises ModelError where torch cannot hold them.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.folder / WEIGHTS
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError, RuntimeError, ValueError) as error:
            raise ModelError(f"{path} cannot be loaded: {error}", hint=_PULL_AGAIN) from error


def read_json_object(path: Path, *, max_bytes: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    """Return the JSON object in *path*; ModelError if it is missing, longer than *max_bytes*, or not one."""
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except FileNotFoundError:
        _reject(path, "is missing")
    except OSError as error:
        _reject(path, f"cannot be read: {error.strerror or error}", "check the folder's permissions")
    if len(raw) > max_bytes:
        _reject(path, f"is longer than {max_bytes:,} bytes")
    return _object(path, raw, "")


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Return what the safetensors file *path* holds, by tensor name, or raise ModelError.

    The header must be sound in itself and fill the file exactly: bounded length, known element types,
    non-negative shapes whose sizes equal their byte ranges, no gap, no overlap, nothing missing at the end.
    """
    try:
        n_bytes = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if n_bytes < 8:
                _reject(path, f"is truncated: it has {n_bytes} bytes")
            if length > MAX_HEADER_BYTES:
                _reject(path, f"has a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
            if length > n_bytes - 8:
                _reject(path, f"is truncated: its header alone has {length:,} bytes, the file {n_bytes:,}")
            raw = file.read(length)
    except FileNotFoundError:
        _reject(path, "is missing")
    except OSError as error:
        _reject(path, f"cannot be read: {error.strerror or error}", "check the folder's permissions")
    header = _object(path, raw, "header ")
    header.pop("__metadata__", None)
    if not header:
        _reject(path, "holds no tensors")
    entries = {name: _entry(path, name, stated) for name, stated in header.items()}
    _check_layout(path, entries, n_bytes - 8 - length)
    return entries


def _entry(path: Path, name: str, stated: object) -> TensorEntry:
    if not isinstance(stated, dict):
        _reject(path, f"has a tensor {name[:80]!r} without a description")
    dtype, shape, offsets = stated.get("dtype"), stated.get("shape"), stated.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        _reject(path, f"has a tensor {name[:80]!r} of the unsupported type {str(dtype)[:20]!r}")
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        _reject(path, f"has a tensor {name[:80]!r} of an impossible shape")
    if not _are_sizes(offsets) or len(offsets) != 2:
        _reject(path, f"has a tensor {name[:80]!r} without a place in the file")
    entry = TensorEntry(dtype, tuple(shape), offsets[0], offsets[1])
    if entry.end - entry.start != entry.n_elements * ITEM_BYTES[dtype]:
        _reject(path, f"has a tensor {name[:80]!r} whose shape does not fit its bytes")
    return entry


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    """Tell whether *value* is a list of plain numbers that could be sizes (below 2**48)."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**48 for item in value)


def _check_layout(path: Path, entries: Mapping[str, TensorEntry], n_bytes: int) -> None:
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != at:
            fault = "overlaps another" if entry.start < at else "leaves a gap before it"
            _reject(path, f"is corrupt: tensor {name[:80]!r} {fault}")
        at = entry.end
    if at > n_bytes:
        _reject(path, f"is truncated: {at - n_bytes:,} of {at:,} bytes of weights are missing")
    if at < n_bytes:
        _reject(path, f"is corrupt: {n_bytes - at:,} bytes follow its last tensor")


def _object(path: Path, raw: bytes, part: str) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)[:120]
        _reject(path, f"is corrupt: its {part}JSON cannot be read: {reason}")
    if not isinstance(value, dict):
        _reject(path, f"is corrupt: its {part}JSON is not an object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice")
    return value


def _reject(path: Path, fault: str, hint: str = _PULL_AGAIN) -> NoReturn:
    raise ModelError(f"{path} {fault}", hint=hint)

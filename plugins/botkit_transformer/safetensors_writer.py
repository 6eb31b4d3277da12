"""Writes a safetensors file tensor by tensor, so that a model larger than memory can be converted.

The format: https://github.com/huggingface/safetensors#format.  The library's own writer wants every tensor
at once; reading is left to the library.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from botkit.engine.disk import writing

ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
"""For each tensor, in the file's order: its type as safetensors names it, and its shape."""


def n_bytes_of(layout: Layout) -> int:
    """Return how many bytes the tensors of *layout* take together."""
    return sum(ITEM_BYTES[kind] * math.prod(shape) for kind, shape in layout.values())


def write_safetensors(path: Path, layout: Layout, pieces: Iterable[Any]) -> None:
    """Write *path*: a header for *layout*, then *pieces* (buffers), which hold the tensors back to back.

    Raises EnvironmentFailure where the disk is full or refuses.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, shape) in layout.items():
        end = at + ITEM_BYTES[kind] * math.prod(shape)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    written = 0
    with writing(path), path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in pieces:
            written += file.write(piece)
    assert written == at, f"{written} bytes written for {at}"

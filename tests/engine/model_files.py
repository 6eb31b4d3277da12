"""A plugin's worth of tiny models: an architecture, an importer and a source, all fakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models

from botkit.engine.disk import Progress
from botkit.errors import ModelError
from botkit.hookspecs import ArchitectureSpec, BackendSpec, ModelImporter, ModelSource
from botkit.plugins import Plugins

N_PARAMETERS = 12


def write_model(into: Path, **config: Any) -> None:
    """Write a sound model folder of the architecture ``tiny``."""
    into.mkdir(exist_ok=True)
    settings = {"model_type": "tiny", "vocab_size": 3, "max_position_embeddings": 64, **config}
    (into / "config.json").write_text(json.dumps(settings))
    Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?")).save(str(into / "tokenizer.json"))
    save_file({"w": np.ones((3, 4), dtype=np.float32)}, into / "weights.safetensors")


def write_origin(path: Path, text: str = "TINY") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _never(folder: Path) -> None:
    pass


@dataclass
class TinyPlugin:
    """Counts what it is asked for; ``spoil`` changes a model folder after it was converted."""

    spoil: Callable[[Path], object] = _never
    check: Callable[[Path], None] = _never
    before_fetch: Callable[[Path], object] = _never
    fetched: list[Path] = field(default_factory=list)
    converted: list[Path] = field(default_factory=list)

    def plugins(self) -> Plugins:
        architecture = ArchitectureSpec(
            "tiny", ("tiny",), load=_never, check=lambda folder: self.check(folder)
        )
        importer = ModelImporter("tiny", self._recognises, self._convert, summary="a file that says TINY")
        source = ModelSource("tiny-model", self._fetch, summary="three words", licence="CC0-1.0")
        echo = BackendSpec("served", create=lambda settings: None)  # type: ignore[arg-type, return-value]
        return Plugins(
            {"tiny": architecture}, {"served": echo}, {}, {"tiny-model": source}, {"tiny": importer}
        )

    def _recognises(self, path: Path) -> bool:
        return path.is_file() and path.read_bytes()[:4] == b"TINY"

    def _convert(self, path: Path, into: Path, progress: Progress) -> None:
        self.converted.append(path)
        if path.read_text() == "TINY but broken":
            (into / "config.json").write_text("half")
            raise ModelError(f"{path}: it is broken")
        write_model(into)
        self.spoil(into)
        progress(100, 100, "converting")

    def _fetch(self, into: Path, progress: Progress) -> Path:
        self.fetched.append(into)
        self.before_fetch(into)
        return write_origin(into / "origin" / "m.tiny")

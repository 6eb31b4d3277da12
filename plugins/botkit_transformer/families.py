"""The families together: which tensors a configuration promises, and whether a folder keeps that promise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botkit.engine.checkpoint import CONFIG, WEIGHTS, Checkpoint
from botkit_transformer import gpt2, llama
from botkit_transformer.config import LlamaConfig, parse_config
from botkit_transformer.weights import Shape, check_tensors, relevant


def expected_of(config: Mapping[str, Any], where: str) -> tuple[dict[str, Shape], bool]:
    """Return the tensors that a model of *config* has, and whether its head is tied to the embedding.

    Raises ModelError, naming *where*, for what cannot be run here.
    """
    parsed = parse_config(config, where)
    if isinstance(parsed, LlamaConfig):
        return llama.expected_tensors(parsed), parsed.tied
    return gpt2.expected_tensors(parsed), parsed.tied


def check_folder(folder: Path) -> None:
    """Raise the ModelError that loading *folder* would, short of reading the weights."""
    checkpoint = Checkpoint.open(folder)
    expected, tied = expected_of(checkpoint.config, str(folder / CONFIG))
    names = relevant(checkpoint.entries, tied=tied)
    shapes = {name: checkpoint.entries[key].shape for name, key in names.items()}
    check_tensors(shapes, expected, str(folder / WEIGHTS))

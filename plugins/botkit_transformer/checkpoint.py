"""From a model folder to a parsed configuration and checked weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from botkit.engine.checkpoint import CONFIG, WEIGHTS, Checkpoint
from botkit.errors import ModelError
from botkit_transformer.config import Gpt2Config, LlamaConfig, parse_config
from botkit_transformer.weights import Shape, Weights, check_tensors, relevant

Config = TypeVar("Config", LlamaConfig, Gpt2Config)


def expected_of(config: Mapping[str, Any], where: str) -> tuple[dict[str, Shape], bool]:
    """Return the tensors that a model of *config* has, and whether its head is tied to the embedding.

    Raises ModelError, naming *where*, for what cannot be run here.
    """
    from botkit_transformer import gpt2, llama

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


def read_model(
    folder: Path,
    wanted: type[Config],
    expected: Callable[[Config], dict[str, Shape]],
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Config, Weights]:
    """Return the configuration of *folder* and its weights, checked against what *expected* makes of it.

    Raises ModelError with one line that names the file, and the tensor or the key.
    """
    checkpoint = Checkpoint.open(folder)
    config = parse_config(checkpoint.config, str(checkpoint.folder / CONFIG))
    if not isinstance(config, wanted):
        raise ModelError(f"{checkpoint.folder / CONFIG}: another kind of model than its loader expects")
    weights = Weights(
        checkpoint.tensors(),
        expected(config),
        tied=config.tied,
        where=str(checkpoint.folder / WEIGHTS),
        device=device,
        dtype=dtype,
    )
    return config, weights

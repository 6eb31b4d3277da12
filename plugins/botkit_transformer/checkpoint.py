"""From a model folder to a parsed configuration and checked weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from botkit.engine.checkpoint import CONFIG, WEIGHTS, Checkpoint
from botkit.errors import ModelError
from botkit_transformer.config import Gpt2Config, LlamaConfig, parse_config
from botkit_transformer.weights import Shape, Weights

Config = TypeVar("Config", LlamaConfig, Gpt2Config)


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

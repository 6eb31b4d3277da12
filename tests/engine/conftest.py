"""The tiny model, once for all tests of the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botkit_transformer.llama import Llama
from tiny_llama import CONTEXT_TOKENS, load_tiny_llama, write_tiny_llama

from botkit.engine.codec import TextCodec
from botkit.engine.engine import Engine


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> Llama:
    return load_tiny_llama(tiny_folder)


@pytest.fixture(scope="session")
def tiny_codec(tiny_folder: Path) -> TextCodec:
    return TextCodec.load(tiny_folder)


@pytest.fixture
def make_engine(tiny_model: Llama, tiny_codec: TextCodec) -> Callable[..., Engine]:
    def make(**changes: Any) -> Engine:
        settings = {"n_slots": 4, "context_tokens": CONTEXT_TOKENS, "prefill_tokens": 16, **changes}
        return Engine(tiny_model, tiny_codec, **settings)

    return make

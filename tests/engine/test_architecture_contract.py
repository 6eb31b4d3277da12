"""Our own architectures keep the promises that a plugin author's must keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from botkit_transformer.config import Gpt2Config, parse_config
from botkit_transformer.gpt2 import Gpt2, expected_tensors
from botkit_transformer.llama import Llama
from safetensors.torch import save_file
from tiny_llama import load_tiny_llama, write_tiny_llama

from botkit.engine.architecture import Architecture, Slots
from botkit.testing.architecture_contract import ArchitectureContract


class TestLlama(ArchitectureContract):
    @pytest.fixture
    def architecture(self, tiny_model: Architecture) -> Architecture:
        return tiny_model


class TestMistralWithWindow(ArchitectureContract):
    @pytest.fixture
    def architecture(self, tmp_path: Path) -> Architecture:
        return load_tiny_llama(write_tiny_llama(tmp_path / "m", model_type="mistral", sliding_window=5))


class TestQwen3(ArchitectureContract):
    @pytest.fixture
    def architecture(self, tmp_path: Path) -> Architecture:
        return load_tiny_llama(write_tiny_llama(tmp_path / "m", model_type="qwen3", head_dim=16))


class TestGpt2(ArchitectureContract):
    @pytest.fixture
    def architecture(self, tmp_path: Path) -> Architecture:
        settings = {"model_type": "gpt2", "vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4}
        (tmp_path / "config.json").write_text(json.dumps({**settings, "n_positions": 96}))
        config = parse_config({**settings, "n_positions": 96})
        assert isinstance(config, Gpt2Config)
        draw = torch.Generator().manual_seed(3)
        tensors = {
            name: torch.randn(shape, generator=draw) * (1.0 if len(shape) == 1 else 1.5 / shape[0] ** 0.5)
            for name, shape in expected_tensors(config).items()
        }
        save_file(tensors, tmp_path / "weights.safetensors")
        return Gpt2.load(tmp_path, device="cpu", dtype=torch.float32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine")
class TestLlamaOnCuda(ArchitectureContract):
    tolerance = 1e-3

    @pytest.fixture
    def architecture(self, tiny_folder: Path) -> Architecture:
        return Llama.load(tiny_folder, device="cuda", dtype=torch.float32)


class Leaky:
    """A wrong architecture: a row's logits depend on how many rows there are."""

    def __init__(self, model: Architecture) -> None:
        self._model = model

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def forward(self, tokens_BT: torch.Tensor, lengths: list[int], state: object, slots: Slots, **more: bool):
        logits = self._model.forward(tokens_BT, lengths, state, slots, **more)
        return logits + 0.01 * (len(lengths) - 1)


def test_the_contract_catches_a_model_whose_rows_see_their_neighbours(tiny_model: Architecture) -> None:
    with pytest.raises(AssertionError):
        ArchitectureContract().test_batched_equals_alone(Leaky(tiny_model), 0)

"""Decoder-only Transformers (Llama family, GPT-2) for the engine, and importers of others' model files.

This module only registers; torch and the file readers are imported when one of them is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from botkit.hookspecs import ArchitectureSpec, ModelImporter, hookimpl

Progress = Callable[[int, int, str], None]


def _load_llama(folder: Path, *, device: Any, dtype: Any) -> Any:
    from botkit_transformer.llama import Llama

    return Llama.load(folder, device=device, dtype=dtype)


def _load_gpt2(folder: Path, *, device: Any, dtype: Any) -> Any:
    from botkit_transformer.gpt2 import Gpt2

    return Gpt2.load(folder, device=device, dtype=dtype)


def _check(folder: Path) -> None:
    from botkit_transformer.families import check_folder

    check_folder(folder)


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def _convert_gguf(path: Path, into: Path, progress: Progress) -> None:
    from botkit_transformer.gguf_import import convert

    convert(path, into, progress)


def _is_huggingface(path: Path) -> bool:
    return (path / "config.json").is_file()


def _convert_huggingface(path: Path, into: Path, progress: Progress) -> None:
    from botkit_transformer.huggingface_import import convert

    convert(path, into, progress)


@hookimpl
def register_architectures(register: Callable[[ArchitectureSpec], None]) -> None:
    """Offer the Llama family and GPT-2."""
    register(
        ArchitectureSpec(
            name="llama",
            model_types=("llama", "mistral", "qwen2", "qwen3"),
            load=_load_llama,
            summary="Llama family: Llama, SmolLM, Mistral, Qwen2, Qwen3",
            check=_check,
        )
    )
    register(
        ArchitectureSpec(name="gpt2", model_types=("gpt2",), load=_load_gpt2, summary="GPT-2", check=_check)
    )


@hookimpl
def register_importers(register: Callable[[ModelImporter], None]) -> None:
    """Offer to import GGUF files and Hugging Face folders."""
    register(
        ModelImporter(
            name="gguf",
            recognises=_is_gguf,
            convert=_convert_gguf,
            summary="a GGUF file of the Llama family or GPT-2, dequantised",
        )
    )
    register(
        ModelImporter(
            name="huggingface",
            recognises=_is_huggingface,
            convert=_convert_huggingface,
            summary="a Hugging Face folder: config.json, *.safetensors, tokenizer.json",
        )
    )

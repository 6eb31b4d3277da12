"""The hooks a plugin may implement.  They are synchronous and only *register*; behaviour lives in objects.

A plugin is any module or object with functions of these names, marked with ``hookimpl`` and named in the
entry-point group ``botkit``:

    from botkit import hookimpl

    @hookimpl
    def register_backends(register):
        register("shout", ShoutBackend)

Imports that cost time (torch, a platform library) belong inside the factories, not at the top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from botkit.protocols import Adapter, Backend, Filter

GROUP = "botkit"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A model name that a plugin serves by itself.  ``create`` gets the settings; it must be quick."""

    name: str
    create: Callable[[Any], Backend]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class ArchitectureSpec:
    """A family of models that the engine can run.

    ``model_types`` are the values of ``config.json``'s ``architecture`` (or ``model_type``) it claims.
    ``load(folder, device=..., dtype=...)`` returns a ``botkit.engine.architecture.Architecture``; it raises
    ModelError with one line for files it cannot use.
    """

    name: str
    model_types: tuple[str, ...]
    load: Callable[..., Any]
    summary: str = ""
    check: Callable[[Path], None] | None = None
    """Raises the ModelError that ``load`` would, without reading the weights; asked when a model comes in."""


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """A platform.  ``create`` gets the settings.

    ``settings`` imports and returns the pydantic model of ``adapters.NAME``.  An adapter runs if the settings
    have that section, unless it says ``enabled = false``; ``enabled`` is for adapters whose settings are
    elsewhere, and tells from them.
    """

    name: str
    create: Callable[[Any], Adapter]
    enabled: Callable[[Any], bool] | None = None
    settings: Callable[[], type[Any]] | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A name that ``botkit models pull`` knows, and how to bring it.

    ``fetch(into, progress)`` brings the original files (a Hugging Face folder's, or one GGUF file) into the
    folder *into*, where an earlier, broken-off try may have left parts to resume from, and returns the path
    to import from; ``progress(done_bytes, total_bytes, what)`` may be called often.
    """

    name: str
    fetch: Callable[[Path, Callable[[int, int, str], None]], Path]
    summary: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class ModelImporter:
    """Turns somebody else's model files into a model folder of ours.

    ``recognises(path)`` is quick and never raises; ``convert(path, into, progress)`` writes
    ``weights.safetensors``, ``config.json`` and ``tokenizer.json`` into the empty folder *into*, or raises
    ModelError with one line for files it cannot use.
    """

    name: str
    recognises: Callable[[Path], bool]
    convert: Callable[[Path, Path, Callable[[int, int, str], None]], None]
    summary: str = ""


class Hooks:
    """The specification: one method a hook, called by keyword, so that arguments may be added later."""

    @hookspec
    def register_architectures(self, register: Callable[[ArchitectureSpec], None]) -> None:
        """Call *register* with an ArchitectureSpec for each model family you bring."""

    @hookspec
    def register_backends(self, register: Callable[..., None]) -> None:
        """Call ``register(name, create, summary="")`` for each model name you serve by yourself."""

    @hookspec
    def register_adapters(self, register: Callable[[AdapterSpec], None]) -> None:
        """Call *register* with an AdapterSpec for each platform you connect."""

    @hookspec
    def register_filters(self, register: Callable[[Filter], None], settings: Any) -> None:
        """Call *register* with each Filter object; *settings* are the validated ones."""

    @hookspec
    def register_models(self, register: Callable[[ModelSource], None]) -> None:
        """Call *register* with a ModelSource for each model that ``botkit models pull`` should know."""

    @hookspec
    def register_importers(self, register: Callable[[ModelImporter], None]) -> None:
        """Call *register* with a ModelImporter for each foreign file format you can read."""

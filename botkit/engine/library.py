"""The models of one data folder: what there is, what it is, and taking it away or out.

Each model is a folder ``NAME`` below the library's; what begins with a dot is work in progress.  How models
come in is ``pull``'s.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from botkit.engine.card import ModelCard
from botkit.engine.checkpoint import CONFIG, WEIGHTS, Checkpoint
from botkit.engine.disk import Progress, copy, discard, put_in_place, sha256_of, writing
from botkit.engine.pull import Puller, locked
from botkit.errors import EnvironmentFailure, UnknownNameError, UsageError
from botkit.plugins import Plugins

EXPORT_FORMATS = ("safetensors",)
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "context_tokens")


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What ``botkit models show`` tells.  ``context_tokens`` is None where there is no limit."""

    name: str
    architecture: str
    parameters: int
    dtype: str
    weight_bytes: int
    context_tokens: int | None
    licence: str
    source: str
    weights_sha256: str
    path: Path


class ModelLibrary:
    """The models below one folder, which need not exist yet.  Holds no open file."""

    def __init__(self, folder: Path) -> None:
        """Look for models in *folder*."""
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """Return the names of the models there are, sorted; raises EnvironmentFailure."""
        try:
            found = [path for path in self.folder.iterdir() if not path.name.startswith(".")]
            return sorted(path.name for path in found if (path / CONFIG).is_file() and _has_weights(path))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise EnvironmentFailure(f"cannot read {self.folder}: {error.strerror}") from error

    def path(self, name: str, plugins: Plugins | None = None) -> Path:
        """Return the folder of the model *name*.

        Raises UnknownNameError naming the nearest; where a source of *plugins* knows the name, its hint is
        how to pull it.
        """
        names = self.names()
        if name in names:
            return self.folder / name
        known = plugins is not None and name in plugins.models
        hint = f"bring it with: botkit models pull {name}" if known else ""
        raise UnknownNameError("model", name, names, hint=hint)

    def pull(
        self, name_or_path: str, plugins: Plugins, progress: Progress, *, name: str | None = None
    ) -> str:
        """Bring a model in and return its name; one that is there already costs nothing.

        *name_or_path* is a name that a source of *plugins* knows, or the path of a folder or file that an
        importer of theirs recognises; such a model is called after it unless *name* is given.  *progress* is
        not called at all when nothing had to be done.  A broken-off pull goes on where it was.  Raises
        UsageError, ModelError or EnvironmentFailure with one line, and leaves nothing that ``names`` would
        return.
        """
        return Puller(self.folder, plugins, progress).pull(name_or_path, name)

    def describe(self, name: str) -> ModelDescription:
        """Return what the model *name* is; raises UnknownNameError, ModelError."""
        path = self.path(name)
        checkpoint, card = Checkpoint.open(path), ModelCard.read(path)
        sizes = Counter[str]()
        for entry in checkpoint.entries.values():
            sizes[entry.dtype] += entry.end - entry.start
        limits = [checkpoint.config.get(key) for key in CONTEXT_KEYS]
        return ModelDescription(
            name=name,
            architecture=checkpoint.model_type,
            parameters=checkpoint.n_parameters,
            dtype=sizes.most_common(1)[0][0].lower(),
            weight_bytes=checkpoint.weight_bytes,
            context_tokens=next((limit for limit in limits if isinstance(limit, int)), None),
            licence=card.licence,
            source=f"{card.source} ({card.origin})" if card.origin else card.source,
            weights_sha256=card.sha256.get(WEIGHTS) or sha256_of(path / WEIGHTS),
            path=path,
        )

    def remove(self, name: str) -> None:
        """Remove the model *name*; raises UnknownNameError, EnvironmentFailure."""
        path = self.path(name)
        with locked(self.folder, name, lambda done, total, what: None), writing(path):
            discard(path)

    def export(self, name: str, into: Path, form: str, progress: Progress) -> Path:
        """Copy the model *name* to the new folder *into*, which ``transformers`` then loads; return it.

        Raises UnknownNameError for a name or a format there is not, UsageError where *into* has something
        in it already, EnvironmentFailure.
        """
        source, into = self.path(name), into.expanduser().absolute()
        if form not in EXPORT_FORMATS:
            raise UnknownNameError("export format", form, EXPORT_FORMATS)
        with writing(into):
            if into.exists() and (not into.is_dir() or any(into.iterdir())):
                raise UsageError(f"{into} is there already", hint="name a folder that is empty or new")
            into.parent.mkdir(parents=True, exist_ok=True)
            fresh = into.with_name(f".{into.name}.part")
            shutil.rmtree(fresh, ignore_errors=True)
            try:
                _copy_files(source, fresh, progress)
                put_in_place(fresh, into)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        return into


def _copy_files(source: Path, fresh: Path, progress: Progress) -> None:
    files = sorted(path for path in source.iterdir() if path.is_file())
    total, before = sum(file.stat().st_size for file in files), 0

    def report(done: int, _: int, what: str) -> None:
        progress(before + done, total, what)

    fresh.mkdir()
    for file in files:
        renamed = "model.safetensors" if file.name == WEIGHTS else file.name
        copy(file, fresh / renamed, report, f"copying {source.name}")
        before += file.stat().st_size


def _has_weights(folder: Path) -> bool:
    return (folder / WEIGHTS).is_file()

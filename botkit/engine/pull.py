"""How a model comes in: brought, converted beside its place, opened once, and put in place in one rename.

LIBRARY/.pull/NAME.lock    held while NAME is pulled or removed
LIBRARY/.pull/NAME.parts/  what a source has brought so far; kept when it breaks off
LIBRARY/.pull/NAME.new/    the model folder that is being made; never survives a pull
LIBRARY/NAME/              the model, always whole
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from botkit.engine.card import CARD, ModelCard
from botkit.engine.checkpoint import CONFIG, Checkpoint
from botkit.engine.codec import TOKENIZER, TextCodec
from botkit.engine.disk import Progress, put_in_place, sha256_of, writing
from botkit.errors import ModelError, UnknownNameError, UsageError
from botkit.hookspecs import ModelImporter, ModelSource
from botkit.plugins import Plugins

WORKSHOP = ".pull"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE_SUFFIXES = (".gguf", ".safetensors", ".bin", ".json")


@dataclass(frozen=True)
class _Wish:
    """What is to be pulled under which name: a source's model, or what lies at a path."""

    name: str
    source: ModelSource | None
    path: Path | None

    @property
    def stated(self) -> str:
        """What the card calls the source."""
        return self.source.name if self.source else str(self.path)


def checked_name(name: str) -> str:
    """Return *name*; raises UsageError for what is no model's name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name[:80]}' is no name for a model",
            hint="up to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first",
        )
    return name


@contextmanager
def locked(library: Path, name: str, progress: Progress) -> Iterator[None]:
    """Hold the lock of the model *name*, waiting for whoever has it; raises EnvironmentFailure."""
    workshop = library / WORKSHOP
    with writing(library):
        workshop.mkdir(parents=True, exist_ok=True)
        lock = FileLock(workshop / f"{name}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            progress(0, 0, f"waiting for another process that has {name} in hand")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


class Puller:
    """Brings models into one library with the sources and importers of *plugins*."""

    def __init__(self, library: Path, plugins: Plugins, progress: Progress) -> None:
        """Report to *progress*; see ``ModelLibrary.pull``."""
        self._library, self._plugins, self._progress = library, plugins, progress

    def pull(self, name_or_path: str, name: str | None) -> str:
        """Do what ``ModelLibrary.pull`` says."""
        wish = self._wish(name_or_path, name)
        if self._is_there(wish):
            return wish.name
        with locked(self._library, wish.name, self._progress):
            if not self._is_there(wish):
                self._make(wish)
        return wish.name

    def _wish(self, name_or_path: str, name: str | None) -> _Wish:
        source = self._plugins.models.get(name_or_path)
        path = None if source else self._path(name_or_path)
        if name is None:
            name = source.name if source else _name_after(path or Path())
        if name in self._plugins.backends:
            raise UsageError(f"'{name}' is a model that a plugin serves", hint="choose another with --name")
        return _Wish(checked_name(name), source, path)

    def _path(self, name_or_path: str) -> Path:
        try:
            path = Path(name_or_path).expanduser()
            there = bool(name_or_path) and path.exists()
        except (OSError, RuntimeError, ValueError):  # too long, no such home, a NUL
            path, there = Path(), False
        if there:
            return path.resolve()
        if "/" in name_or_path or name_or_path.lower().endswith(_FILE_SUFFIXES):
            raise UsageError(f"there is no file or folder {name_or_path[:200]}")
        raise UnknownNameError("model", name_or_path[:80], self._plugins.models)

    def _is_there(self, wish: _Wish) -> bool:
        """Tell whether the model is there and sound; a broken one of the same source will be replaced."""
        target = self._library / wish.name
        if not target.exists():
            return False
        card = ModelCard.read(target)
        try:
            _open_cheaply(target)
        except ModelError:
            if card.source in ("", wish.stated):
                return False
            raise
        if wish.source is not None:
            return True
        remedy = f"botkit models remove {wish.name}, or choose another name with --name"
        if card.source != wish.stated:
            come_from = f", from {card.source}" if card.source else ""
            raise UsageError(f"there is a model '{wish.name}' already{come_from}", hint=remedy)
        if wish.path is not None and _changed_at(wish.path) > (target / CARD).stat().st_mtime:
            raise UsageError(f"{wish.path} has changed since it was pulled as '{wish.name}'", hint=remedy)
        return True

    def _make(self, wish: _Wish) -> None:
        workshop = self._library / WORKSHOP
        parts, fresh = workshop / f"{wish.name}.parts", workshop / f"{wish.name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            with writing(self._library):
                path = wish.path or self._fetch(wish, parts)
                fresh.mkdir()
                try:
                    self._importer(path).convert(path, fresh, self._progress)
                    checkpoint = self._open(fresh)
                except ModelError:
                    shutil.rmtree(parts, ignore_errors=True)  # what was brought is no use
                    raise
                self._progress(0, 0, "checking")
                origin = str(path.relative_to(parts)) if path.is_relative_to(parts) else path.name
                _write_card(wish, origin, checkpoint, fresh)
                put_in_place(fresh, self._library / wish.name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(parts, ignore_errors=True)

    def _fetch(self, wish: _Wish, parts: Path) -> Path:
        assert wish.source is not None
        parts.mkdir(exist_ok=True)
        return wish.source.fetch(parts, self._progress)

    def _importer(self, path: Path) -> ModelImporter:
        for importer in self._plugins.importers.values():
            if importer.recognises(path):
                return importer
        known = "; ".join(one.summary or one.name for one in self._plugins.importers.values())
        what = "an empty folder" if path.is_dir() and not any(path.iterdir()) else "no model that can be read"
        raise ModelError(f"{path} is {what}", hint=f"can be read: {known or 'nothing without a plugin'}")

    def _open(self, folder: Path) -> Checkpoint:
        """Open the model as the engine will, short of its numbers; raises ModelError."""
        checkpoint = Checkpoint.open(folder)
        spec = self._plugins.architectures.get(checkpoint.model_type)
        if spec is None:
            known = ", ".join(sorted(self._plugins.architectures)) or "none"
            raise ModelError(
                f"{folder / CONFIG}: no plugin runs '{checkpoint.model_type[:60]}'", hint=f"known: {known}"
            )
        if spec.check is not None:
            spec.check(folder)
        codec, vocab_size = TextCodec.load(folder), checkpoint.config.get("vocab_size")
        if isinstance(vocab_size, int) and codec.vocab_size > vocab_size:
            raise ModelError(
                f"{folder}: its tokenizer has {codec.vocab_size} tokens, the model itself only {vocab_size}"
            )
        return checkpoint


def _open_cheaply(folder: Path) -> None:
    """See that nothing of a model that was opened before is missing or cut off since; raises ModelError."""
    Checkpoint.open(folder)
    if not (folder / TOKENIZER).is_file():
        raise ModelError(f"{folder / TOKENIZER} is missing", hint="remove the model and pull it again")


def _name_after(path: Path) -> str:
    stem = path.stem if path.is_file() else path.name
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")
    if not name:
        raise UsageError(f"{path} gives no name for a model", hint="choose one with --name")
    return name[:64]


def _changed_at(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return max((file.stat().st_mtime for file in files), default=0.0)


def _write_card(wish: _Wish, origin: str, checkpoint: Checkpoint, folder: Path) -> None:
    files = sorted(file for file in folder.iterdir() if file.is_file())
    card = ModelCard(
        name=wish.name,
        source=wish.stated,
        origin=origin,
        licence=wish.source.licence if wish.source else "",
        pulled_at=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters=checkpoint.n_parameters,
        sha256={file.name: sha256_of(file) for file in files},
    )
    (folder / CARD).write_text(card.text(), encoding="utf-8")

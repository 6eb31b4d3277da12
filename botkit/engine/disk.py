"""Files that matter: written so that they are either whole or not there, and failures said in one line."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from botkit.errors import EnvironmentFailure

PIECE_BYTES = 4 << 20

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all (0: not known) and what is being done."""

_REASONS = {
    errno.ENOSPC: ("the disk is full", "make room, or choose another folder with --data"),
    errno.EDQUOT: ("the disk quota is used up", "make room, or choose another folder with --data"),
    errno.EROFS: ("it is read-only", "choose another folder with --data"),
    errno.EACCES: ("permission denied", "make it writable, or choose another folder with --data"),
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses while *path* is written into EnvironmentFailure."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and path not in (culprit := Path(error.filename), *culprit.parents):
            message = f"cannot use {culprit}: {error.strerror}"  # something that was read meanwhile
            raise EnvironmentFailure(message) from error
        reason, hint = _REASONS.get(error.errno or 0, (error.strerror or str(error), ""))
        raise EnvironmentFailure(f"cannot write {path}: {reason}", hint=hint) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(source: Path, target: Path, progress: Progress, what: str) -> None:
    """Copy one file, telling *progress*; raises OSError."""
    total, done = source.stat().st_size, 0
    with source.open("rb") as file, target.open("wb") as copied:
        while piece := file.read(PIECE_BYTES):
            copied.write(piece)
            done += len(piece)
            progress(done, total, what)


def put_in_place(folder: Path, target: Path) -> None:
    """Make *folder* appear as *target* in one rename, after all of it is safely on the disk.

    What *target* was before is removed.  Both are on one file system.  Raises OSError.
    """
    for file in (*folder.rglob("*"), folder):
        _sync(file)
    discard(target)
    folder.rename(target)
    _sync(target.parent)


def discard(path: Path) -> None:
    """Remove a folder, or the symbolic link to one, so that it is gone at once; raises OSError."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        # Half a folder must never stand under the name.
        doomed = path.with_name(f".{path.name.lstrip('.')}.removed")
        shutil.rmtree(doomed, ignore_errors=True)
        path.rename(doomed)
        shutil.rmtree(doomed)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

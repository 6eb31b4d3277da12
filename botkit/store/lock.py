"""One process for each SQLite file: a lock file beside it, held for as long as the database is open."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from botkit.errors import StoreError, StoreInUse


class FileLock:
    """A held lock.  The kernel drops it when its process dies, so a stale file never locks anybody out.

    While held, the file names the process; a clean ``release`` empties it.  So a file that was not empty
    when the lock was taken tells that the last owner was killed: ``was_unclean``.
    """

    def __init__(self, database: Path) -> None:
        """Take the lock of the file *database*; raises StoreError when another process has it."""
        self.path = database.with_name(database.name + ".lock")
        try:
            database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot write in the folder {database.parent}: {error.strerror}",
                hint="make it writable, or choose another with --data",
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = self._read()
            os.close(self._fd)
            by = f" by process {owner}" if owner else ""
            raise StoreInUse(
                f"the database {database} is in use{by}",
                hint="stop that process first; several processes want PostgreSQL",
            ) from None
        self.was_unclean = bool(self._read())
        self._write(str(os.getpid()))

    def release(self, *, clean: bool = True) -> None:
        """Give the lock back; ``clean=False`` leaves the mark that makes the next owner check the file."""
        if clean:
            # A full disk must not keep us from letting go: the next owner then checks once more.
            with contextlib.suppress(OSError):
                self._write("")
        os.close(self._fd)

    def _read(self) -> str:
        return os.pread(self._fd, 64, 0).decode("ascii", "replace").strip()

    def _write(self, text: str) -> None:
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

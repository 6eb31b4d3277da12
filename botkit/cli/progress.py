"""Progress of long work on standard error: a bar in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console

LINE_EVERY_S = 5.0


class ProgressDisplay:
    """A context that is called with bytes done, bytes in all (0: not known) and what is being done.

    ``moved_bytes`` tells whether any bytes were reported at all.
    """

    def __init__(self, console: Console, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Show on *console*."""
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self.moved_bytes = False
        self._console, self._clock_s = console, clock_s
        self._what, self._told_at_s = "", 0.0
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bars.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state standing."""
        self._bars.stop()

    def __call__(self, done_bytes: int, total_bytes: int, what: str) -> None:
        """Show how far it is."""
        self.moved_bytes = self.moved_bytes or total_bytes > 0
        if self._console.is_terminal:
            self._draw(done_bytes, total_bytes, what)
        else:
            self._tell(done_bytes, total_bytes, what)
        self._what = what

    def _draw(self, done_bytes: int, total_bytes: int, what: str) -> None:
        if what != self._what:
            self._task = self._bars.add_task(what, total=None)
        self._bars.update(self._task, completed=done_bytes, total=total_bytes or None)

    def _tell(self, done_bytes: int, total_bytes: int, what: str) -> None:
        now_s = self._clock_s()
        if what == self._what and now_s - self._told_at_s < LINE_EVERY_S:
            return
        self._told_at_s = now_s
        far = f": {done_bytes / 1e6:,.0f} of {total_bytes / 1e6:,.0f} MB" if total_bytes else ""
        self._console.print(f"{what}{far}", markup=False, highlight=False, soft_wrap=True)

"""Running the code of plugins: what they raise against the contract becomes one error that names them."""

from __future__ import annotations

from types import TracebackType

from botkit.errors import BotkitError, PluginError


class Foreign:
    """A block in which *who* runs: anything it raises but BotkitErrors becomes a PluginError.

    The end of a stream and cancellation pass.  May be entered any number of times, by any number of tasks.
    """

    def __init__(self, who: str) -> None:
        """Keep whom to blame: ``filter 'x'``, ``model 'y'``."""
        self._who = who

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Translate what was raised."""
        if not isinstance(error, Exception) or isinstance(error, (BotkitError, StopAsyncIteration)):
            return
        line = f"{self._who} failed: {type(error).__name__}: {error}"
        raise PluginError(line, hint="leave the plugin out with plugins.disabled") from error

"""Every error botkit raises on purpose; foreign exceptions are translated into these at the edge.

    BotkitError                 anything we foresaw: one clear line, never a traceback
    |-- UsageError              the caller's words are off (exit status 2, HTTP 400)
    |   |-- ConfigError         a setting is unknown, malformed or missing
    |   |-- UnknownNameError    no such model, command, plugin, architecture ...; names the nearest
    |   `-- BadRequestError     a request cannot be served as asked (empty, unsupported)
    |       `-- ContextTooLong  its prompt does not fit the model's context
    |-- ModelError              a model's files cannot be used: corrupt, truncated, unsupported
    |-- StoreError              the database cannot be used: locked, read-only, newer, full
    |   `-- StoreInUse          another process of ours has it
    |-- PluginError             a plugin misbehaved: it is reported, and the bot goes on
    |-- BackendError            a generator backend failed while serving
    |   |-- BackendDied         its process or connection is gone; the request may be retried
    |   `-- BackendBusy         it cannot take more now
    |-- QueueFull               too many requests wait (HTTP 429)
    |-- DeadlineExceeded        the request waited or ran longer than it may (HTTP 504)
    |-- PlatformError           a chat platform refused or failed
    |   `-- Undeliverable       and will for ever: the chat is gone, the bot was blocked
    `-- EnvironmentFailure      the machine is not as needed: port taken, folder read-only, disk full

``hint`` is for the operator: what to do about it.  ``public`` is what a chat may show.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BotkitError(Exception):
    """An error that was foreseen; ``str()`` of it is one line that says what went wrong and where."""

    exit_status = 1
    public = "Something went wrong on my side."

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep *message* (what and where) and *hint* (what to do about it)."""
        super().__init__(" ".join(message.split()))
        self.hint = " ".join(hint.split())

    def line(self) -> str:
        """Return message and hint as the one line that a terminal or a log shows."""
        return f"{self} ({self.hint})" if self.hint else str(self)


class UsageError(BotkitError):
    """The caller's words are off."""

    exit_status = 2
    public = "I cannot do that as asked."


class ConfigError(UsageError):
    """A setting is unknown, malformed or missing."""


class UnknownNameError(UsageError):
    """No thing of this kind has that name."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        """Name the nearest of *known* in the message; list all of them when they are few."""
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        super().__init__(f"unknown {kind} '{name}'", hint=hint or self._suggest())

    def _suggest(self) -> str:
        near = difflib.get_close_matches(self.name, self.known, n=1, cutoff=0.5)
        if near:
            return f"did you mean '{near[0]}'?"
        if not self.known:
            return f"there is no {self.kind} yet"
        shown = ", ".join(self.known[:12]) + (", ..." if len(self.known) > 12 else "")
        return f"there are: {shown}"


class BadRequestError(UsageError):
    """A generation request cannot be served as asked: empty, unsupported."""


class ContextTooLong(BadRequestError):
    """A prompt does not fit the model's context."""

    public = "That is too long for my model."


class ModelError(BotkitError):
    """A model's files cannot be used: missing, corrupt, truncated, unsupported."""

    public = "My model cannot be loaded."


class StoreError(BotkitError):
    """The database cannot be used: locked, read-only, full, or from a newer version."""

    public = "I cannot reach my memory right now."


class StoreInUse(StoreError):
    """Another process of ours has the database open."""


class PluginError(BotkitError):
    """A plugin misbehaved; it is reported and left out."""


class BackendError(BotkitError):
    """A generator backend failed while serving a request."""

    public = "My model failed on this one. Please try again."


class BackendDied(BackendError):
    """The backend's process or connection is gone; nothing more will come."""


class BackendBusy(BackendError):
    """The backend cannot take more now."""

    public = "I am busy. Please try again in a moment."


class QueueFull(BotkitError):
    """Too many requests wait, in total or of this person."""

    public = "I am busy. Please try again in a moment."


class DeadlineExceeded(BotkitError):
    """The request waited in line, or ran, longer than it may."""

    public = "That took too long, so I stopped."


class PlatformError(BotkitError):
    """A chat platform refused a call or failed."""


class Undeliverable(PlatformError):
    """Nothing can be shown there any more, however often it is tried: chat gone, bot blocked, no right."""


class EnvironmentFailure(BotkitError):
    """The machine is not as needed: port taken, folder read-only, disk full."""

"""What the chat core tells whoever measures it; ``botkit.metrics`` listens, and tests may."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Receives measurements; each call is quick and never raises."""

    def outcome(self, name: str) -> None:
        """Count an exchange: answered, refused, cancelled, failed or command."""

    def first_chunk(self, seconds: float) -> None:
        """Take the time from submitting a request to its first text."""

    def queue_depth(self, n: int) -> None:
        """Take the number of requests that wait."""

    def queue_wait(self, seconds: float) -> None:
        """Take the time that a request waited in line."""

    def tokens(self, kind: str, n: int) -> None:
        """Count tokens: prompt, completion or cached."""


class Unobserved:
    """Nobody measures."""

    def outcome(self, name: str) -> None:
        """Forget *name*."""

    def first_chunk(self, seconds: float) -> None:
        """Forget *seconds*."""

    def queue_depth(self, n: int) -> None:
        """Forget *n*."""

    def queue_wait(self, seconds: float) -> None:
        """Forget *seconds*."""

    def tokens(self, kind: str, n: int) -> None:
        """Forget *n*."""


UNOBSERVED = Unobserved()

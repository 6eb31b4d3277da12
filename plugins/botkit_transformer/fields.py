"""Typed, bounded reading of a ``config.json``: every surprise becomes one ModelError that names the key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from botkit.errors import ModelError

_Default = TypeVar("_Default")
MAX_INTEGER = 1 << 24
"""No size in a model's configuration is larger; a larger one is a broken or hostile file."""


class Fields:
    """The keys of one JSON object; ``where`` names it in errors.

    A key that is absent or null yields the default; without a default it is an error.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        """Read from *values*, which errors call *where*."""
        self.values, self.where = values, where

    def wrong(self, key: str, wanted: str) -> ModelError:
        """Return the error for a key that is not as *wanted*."""
        return ModelError(f"{self.where}: '{key}' must be {wanted}, not {self.values.get(key)!r:.60}")

    def integer(
        self, key: str, default: int | None = None, *, least: int = 1, most: int = MAX_INTEGER
    ) -> int:
        """Return an integer from *least* to *most*."""
        value = self.values.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(key, f"an integer from {least} to {most}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number above 0."""
        value = self.values.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "a number")
        if not math.isfinite(value) or value <= 0:
            raise self.wrong(key, "a finite number above 0")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text."""
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, str):
            raise self.wrong(key, "a text")
        return value

    def texts(self, key: str, n: int) -> tuple[str, ...] | None:
        """Return a list of exactly *n* texts, or None where the key is absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != n or not all(isinstance(v, str) for v in value):
            raise self.wrong(key, f"a list of {n} texts")
        return tuple(value)

    def section(self, key: str) -> Fields | None:
        """Return the object under *key*, or None where there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return Fields(value, f"{self.where}: {key}")

    def require(self, key: str, allowed: tuple[Any, ...], default: Any) -> None:
        """Refuse any value of *key* but the *allowed* ones: the others would change what is computed."""
        value = self.values.get(key, default)
        if value not in allowed:
            raise ModelError(f"{self.where}: '{key}' {value!r:.60} is not supported")

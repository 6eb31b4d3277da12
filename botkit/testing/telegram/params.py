"""The parameters of a call, whichever way they came: query, form, multipart or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botkit.testing.telegram.refusal import bad_request

ATTACHED = "attach://"


@dataclass(frozen=True)
class Upload:
    """A file that came with a call."""

    name: str
    content: bytes = field(repr=False)
    mime_type: str


class Params:
    """A call's parameters, read the way the platform reads them; raises Refused for what makes no sense."""

    def __init__(self, values: Mapping[str, Any], uploads: Mapping[str, Upload] | None = None) -> None:
        """Keep what came."""
        self.values = dict(values)
        self._uploads = dict(uploads or {})

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self.values.get(name, default)
        return value if isinstance(value, str) else json.dumps(value)

    def integer(self, name: str) -> int | None:
        """Return a number, or None where it was not given."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            return int(value)
        except (TypeError, ValueError):
            raise bad_request(f"invalid {name} specified") from None

    def needed_integer(self, name: str, missing: str = "") -> int:
        """Return a number that must be there; *missing* is what the platform says otherwise."""
        value = self.integer(name)
        if value is None:
            raise bad_request(missing or f'parameter "{name}" is required')
        return value

    def flag(self, name: str) -> bool:
        """Return a yes or no; no where it was not given."""
        return str(self.values.get(name, "")).lower() in ("true", "1", "yes")

    def data(self, name: str, kind: type, what: str) -> Any:
        """Return an object or a list (*kind*) given as JSON, or None; *what* names it in the refusal."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise bad_request(f"can't parse {what} JSON object") from None
        if not isinstance(found, kind):
            raise bad_request(f"can't parse {what} JSON object")
        return found

    def objects(self, name: str, what: str) -> list[dict[str, Any]] | None:
        """Return a list of objects given as JSON, or None; *what* names it in the refusal."""
        found: list[Any] | None = self.data(name, list, what)
        if found is not None and not all(isinstance(one, dict) for one in found):
            raise bad_request(f"can't parse {what}: expected an Object")
        return found

    def strings(self, name: str, what: str) -> list[str] | None:
        """Return a list of strings given as JSON, or None; *what* names it in the refusal."""
        found: list[Any] | None = self.data(name, list, what)
        if found is not None and not all(isinstance(one, str) for one in found):
            raise bad_request(f"can't parse {what}: expected a String")
        return found

    def upload(self, name: str) -> Upload | str | None:
        """Return the file given as *name*, or the id of one that the platform has."""
        if name in self._uploads:
            return self._uploads[name]
        value = self.text(name)
        if value.startswith(ATTACHED):
            return self._uploads.get(value.removeprefix(ATTACHED))
        return value or None

    @property
    def chat_id(self) -> str:
        """The chat that is meant; raises Refused where none is."""
        value = self.text("chat_id")
        if not value:
            raise bad_request("chat_id is empty")
        return value

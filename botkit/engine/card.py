"""A model's ``card.md``: where it comes from, under which licence, and what its files are to the bit.

The facts stand in front, one ``key: value`` a line between two lines ``---``, each value as JSON (which is
YAML, too); below them is a page for people.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CARD = "card.md"
MAX_CARD_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model besides its files.  ``sha256`` is by file name, in hexadecimal.

    ``source`` is the name or the path that was pulled, ``origin`` what was found there.
    """

    name: str
    source: str = ""
    origin: str = ""
    licence: str = ""
    pulled_at: str = ""
    parameters: int = 0
    sha256: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the card as it is written."""
        facts = {key: value for key, value in vars(self).items() if value}
        front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items())
        return (
            f"---\n{front}\n---\n\n# {self.name}\n\n"
            f"A model of {self.parameters:,} parameters, pulled by botkit from {self.source}"
            f" ({self.origin}) on {self.pulled_at[:10]}.\n"
            f"Its licence: {self.licence or 'not stated; see where it comes from'}.\n"
        )

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """Return the card of a model *folder*; what it does not say, or says oddly, is left empty."""
        try:
            with (folder / CARD).open(encoding="utf-8") as file:
                lines = file.read(MAX_CARD_BYTES).splitlines()
        except (OSError, ValueError):
            return cls(folder.name)
        facts: dict[str, Any] = {}
        if lines[:1] == ["---"] and "---" in lines[1:]:
            for line in lines[1 : lines.index("---", 1)]:
                key, _, value = line.partition(":")
                facts[key.strip()] = _value(value.strip())
        hashes = facts.get("sha256")
        pairs = hashes.items() if isinstance(hashes, dict) else ()
        n_parameters = facts.get("parameters")
        return cls(
            name=folder.name,
            source=_text(facts.get("source")),
            origin=_text(facts.get("origin")),
            licence=_text(facts.get("licence")) or _text(facts.get("license")),
            pulled_at=_text(facts.get("pulled_at")),
            parameters=n_parameters if isinstance(n_parameters, int) else 0,
            sha256={name: value for name, value in pairs if isinstance(value, str)},
        )


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip("\"'")


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""

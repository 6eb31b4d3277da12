"""From token ids to text as they come: never half a character, never a piece of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

INCOMPLETE = "\ufffd"


class Detokenizer:
    """Decodes one sequence; text is held back while it could still change."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Begin an empty text."""
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._held: list[int] = []

    def add(self, token: int) -> str:
        """Return the text that *token* completes, or "" when it ends within a character."""
        text: str | None = self._stream.step(self._tokenizer, token)
        if text is None:
            self._held.append(token)
            return ""
        self._held.clear()
        return text

    def flush(self) -> str:
        """Return what was held back, as far as it is whole characters."""
        if not self._held:
            return ""
        rest: str = self._tokenizer.decode(self._held, skip_special_tokens=True)
        self._held.clear()
        return rest.rstrip(INCOMPLETE)


class StopStrings:
    """Lets text pass up to the first of some stop strings, holding back what may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Watch for *stops*; empty ones are ignored."""
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found = False

    def add(self, text: str) -> str:
        """Return the part of what came so far that may be shown now; sets ``found`` at a stop string."""
        if not self._stops:
            return text
        text = self._held + text
        ends = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.found, self._held = True, ""
            return text[: min(ends)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """Return what was held back: no stop string came of it."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of *text* with which *stop* begins."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0

"""Which tokens text must never become, and how it is kept from it: see ``codec`` for the whole.

A mark in the text stands before a stand-in for the first character of what might be read as a special token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MARK = "\ufdd0"  # a noncharacter: Unicode promises that no text has it
_HIDDEN = 0xF0000  # private use; stands after the mark for a character of a special token
_REASONING = ("<think>", "</think>")  # a template may look for these in what the model itself said


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that the tokenizer looks for before anything else; the flags are those of tokenizer.json."""

    id: int
    text: str
    special: bool
    lstrip: bool
    rstrip: bool


class TokenGuard:
    """Knows the tokens that text must not become, marks where it might, and finds them in a prompt."""

    def __init__(
        self, added: Sequence[AddedToken], template: str, stop_ids: Iterable[int], unknown: str | None
    ) -> None:
        """Guard special and stop tokens and *template*'s own markup; *unknown* may stand for any word."""
        stops = set(stop_ids)
        # Some tokenizers leave "special" off tokens that their template writes around turns.
        guarded = [
            token
            for token in added
            if token.text and (token.special or token.id in stops or _is_markup(token.text, template))
        ]
        self._by_text = {token.text: token for token in guarded}
        self.ids = frozenset(token.id for token in guarded if token.text != unknown)
        longest_first = sorted(self._by_text, key=len, reverse=True)
        self._alphabet = sorted(set("".join(longest_first)))
        self._index = {character: index for index, character in enumerate(self._alphabet)}
        self._token = _any_of(longest_first)
        reasoning = [text for text in _REASONING if text in self._by_text and not self._by_text[text].special]
        self._inside = _any_of(longest_first, lookahead=True)
        self._inside_own = _any_of([t for t in longest_first if t not in reasoning], lookahead=True)
        self._heads = {text[:n] for text in longest_first for n in range(1, len(text))}
        self._tails = tuple(sorted({text[n:] for text in longest_first for n in range(1, len(text))}))
        self._longest = max(map(len, longest_first), default=0)

    def mark(self, text: str, *, own: bool) -> str:
        """Return *text* with a mark wherever it might be read as a token; *own*: the model said it."""
        pattern = self._inside_own if own else self._inside
        places = {match.start() for match in pattern.finditer(text)} if pattern else set()
        # Its edges may become a token with what stands next to them, also after the template trimmed it.
        begin = len(text) - len(text.lstrip())
        for start in {0, begin}:
            if text.startswith(self._tails, start):
                places.add(start)
        for end in {len(text), len(text.rstrip())}:
            for start in range(max(0, end - self._longest + 1), end):
                if text[start:end] in self._heads:
                    places.add(start)
        if not places:
            return text
        return "".join(
            MARK + chr(_HIDDEN + self._index[character]) if at in places else character
            for at, character in enumerate(text)
        )

    def unmark(self, text: str) -> str:
        """Undo ``mark``."""
        if MARK not in text:
            return text
        return re.sub(f"{MARK}(.?)", lambda found: self._unhidden(found[1]), text, flags=re.DOTALL)

    def _unhidden(self, character: str) -> str:
        at = ord(character or "\0") - _HIDDEN
        return self._alphabet[at] if 0 <= at < len(self._alphabet) else ""

    def split(self, rendered: str) -> list[AddedToken | str]:
        """Return the tokens that a prompt holds and the plain text before, between and after them."""
        pieces: list[AddedToken | str] = []
        at = 0
        for match in self._token.finditer(rendered) if self._token else ():
            token = self._by_text[match[0]]
            before = rendered[at : match.start()]
            pieces += [before.rstrip() if token.lstrip else before, token]
            at = match.end()
            if token.rstrip:
                at += len(rendered[at:]) - len(rendered[at:].lstrip())
        return [*pieces, rendered[at:]]

    def cut(self, text: str) -> list[str]:
        """Return *text* in pieces none of which contains a guarded token of two or more characters."""
        cuts = [match.start() + 1 for match in self._inside.finditer(text)] if self._inside else []
        return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def added_tokens(spec: Mapping[str, Any]) -> list[AddedToken]:
    """Return the added tokens of a tokenizer.json."""
    return [
        AddedToken(t["id"], t["content"], t["special"], t.get("lstrip") is True, t.get("rstrip") is True)
        for t in spec.get("added_tokens") or ()
    ]


def _is_markup(text: str, template: str) -> bool:
    edges = text[0] + text[-1]
    return len(text) > 2 and not any(c.isalnum() or c.isspace() for c in edges) and text in template


def _any_of(texts: Sequence[str], *, lookahead: bool = False) -> re.Pattern[str] | None:
    if not texts:
        return None
    choice = "|".join(map(re.escape, texts))
    # Most characters begin none of them: the class says so at once, where there are thousands.
    begin = "".join(sorted({re.escape(text[0]) for text in texts}))
    return re.compile(f"(?=[{begin}])" + (f"(?={choice})" if lookahead else f"(?:{choice})"))

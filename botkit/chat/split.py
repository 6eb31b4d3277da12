"""Cutting a long text into messages that a platform takes, with code blocks closed and opened again.

Lengths are UTF-16 code units, in which the platforms count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

MIN_UNITS = 2
MAX_REOPENING_SHARE = 4
MAX_GRAPHEME_LOOKBACK = 64
FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$")
# From the best place to cut to the worst; each pattern ends where the cut belongs.
BREAKS = tuple(re.compile(p) for p in (r"\n[ \t]*\n+", r"\n", r"[.!?\u2026]+[\"')\]]*\s+", r"\s+"))


@dataclass(frozen=True, slots=True)
class Part:
    """A slice of the text, with what was added so that an open code block stays one."""

    opening: str
    body: str
    closing: str

    @property
    def text(self) -> str:
        """What is sent."""
        return self.opening + self.body + self.closing


@dataclass(frozen=True, slots=True)
class _Fence:
    """An open code block: its marks and the language after them."""

    marks: str
    language: str

    def closing(self, body: str) -> str:
        return self.marks if body.endswith("\n") else f"\n{self.marks}"

    def opening(self, max_units: int) -> str:
        """Return the line that opens the block again, or nothing where that would take too much room."""
        for line in (f"{self.marks}{self.language}\n", f"{self.marks}\n"):
            if utf16_units(line) * MAX_REOPENING_SHARE <= max_units:
                return line
        return ""


def utf16_units(text: str) -> int:
    """Return the length of *text* in UTF-16 code units; a lone surrogate counts as one."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(text: str, max_units: int) -> list[Part]:
    """Return *text* in parts of at most *max_units* (0: no limit, else at least 2) UTF-16 code units.

    The bodies, joined, are *text* to the letter.  Cuts fall between paragraphs, else lines, sentences, words,
    visible characters; never inside a surrogate pair.  The parts of a text that grows stay the same
    but for the last.
    """
    if 0 < max_units < MIN_UNITS:
        raise ValueError(f"max_units is {max_units}, but some characters alone take {MIN_UNITS}")
    return list(_parts(text, max_units)) if text else []


def _parts(text: str, max_units: int) -> Iterator[Part]:
    start, fence = 0, None
    while max_units:
        opening = fence.opening(max_units) if fence else ""
        room = max_units - utf16_units(opening)
        end = _fitting(text, start, room)
        if end == len(text):
            break
        cut = _best_cut(text, start, end)
        fence_after = _fence_after(text[start:cut], fence)
        closing = ""
        if fence_after is not None:
            cut, closing, fence_after = _cut_with_closing(text, start, room, fence_after, fence)
        yield Part(opening, text[start:cut], closing)
        start, fence = cut, fence_after
    yield Part(fence.opening(max_units) if fence else "", text[start:], "")


def _cut_with_closing(
    text: str, start: int, room: int, inside: _Fence, before: _Fence | None
) -> tuple[int, str, _Fence | None]:
    """Return a cut that leaves room to close the code block *inside*, the closing, and the block cut through.

    Where the block's marks are too long for the room, the cut is made without closing anything.
    """
    end = _fitting(text, start, room - utf16_units(inside.marks) - 1)
    if end > start and utf16_units(inside.marks) * MAX_REOPENING_SHARE <= room:
        cut = _best_cut(text, start, end)
        after = _fence_after(text[start:cut], before)
        # The earlier cut may fall before another block's beginning: its marks may differ.
        closing = after.closing(text[start:cut]) if after else ""
        if utf16_units(text[start:cut]) + utf16_units(closing) <= room:
            return cut, closing, after
    return _best_cut(text, start, _fitting(text, start, room)), "", None


def _fitting(text: str, start: int, room: int) -> int:
    """Return the largest end for which ``text[start:end]`` has at most *room* units."""
    end = min(len(text), start + max(0, room))
    if text.isascii():
        return end
    units = utf16_units(text[start:end])
    while units > room:
        # Each character taken off frees one or two units, so half of what is over is never too much.
        step = max(1, (units - room) // 2)
        units -= utf16_units(text[end - step : end])
        end -= step
    return end


def _best_cut(text: str, start: int, end: int) -> int:
    """Return where to cut so that the part from *start* ends at *end* or earlier, at the best place."""
    half = start + (end - start) // 2
    for pattern in BREAKS:
        ends = [match.end() for match in pattern.finditer(text, half, end) if match.end() > half]
        if ends:
            return _whole_character(text, start, ends[-1])
    return _whole_character(text, start, end)


def _whole_character(text: str, start: int, end: int) -> int:
    """Return the last boundary between visible characters at or before *end*; *end* if there is none near."""
    for cut in range(end, max(start, end - MAX_GRAPHEME_LOOKBACK), -1):
        if not _joins(text, cut):
            return cut
    is_pair = start + 1 < end < len(text) and _is_surrogate_pair(text[end - 1], text[end])
    return end - 1 if is_pair else end


def _joins(text: str, cut: int) -> bool:
    """Tell whether the characters before and after *cut* are seen as one (most of Unicode's UAX 29)."""
    if cut >= len(text):
        return False
    left, right = text[cut - 1], text[cut]
    if left.isascii() and right.isascii():
        return left == "\r" and right == "\n"
    if unicodedata.category(right) in ("Mn", "Me", "Mc") or "\u200d" in (left, right):
        return True
    if "\U0001f3fb" <= right <= "\U0001f3ff" or "\U000e0020" <= right <= "\U000e007f":
        return True
    if _is_regional(left) and _is_regional(right):
        first = cut
        while first > 0 and _is_regional(text[first - 1]):
            first -= 1
        return (cut - first) % 2 == 1
    return _is_surrogate_pair(left, right)


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_surrogate_pair(left: str, right: str) -> bool:
    """Tell whether two lone surrogates would become one character on the wire."""
    return "\ud800" <= left <= "\udbff" and "\udc00" <= right <= "\udfff"


def _fence_after(body: str, fence: _Fence | None) -> _Fence | None:
    """Return the code block that is open after *body*, if *fence* was open before it."""
    for line in body.split("\n"):
        match = FENCE.match(line)
        if match is None:
            continue
        marks, rest = match[1], match[2].strip()
        if fence is None:
            fence = _Fence(marks, rest)
        elif marks[0] == fence.marks[0] and len(marks) >= len(fence.marks) and not rest:
            fence = None
    return fence

"""Cutting a long text into messages that a platform takes."""

from __future__ import annotations

import itertools
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from botkit.chat.split import split, utf16_units

PIECES = st.sampled_from(
    [
        "word ",
        "a",
        "longer-word-without-any-space",
        "\n",
        "\n\n",
        "End. ",
        "Why? ",
        "```python\n",
        "```\n",
        "\n```\n",
        "~~~~\n",
        "    ",
        "`code` ",
        "```",
        "😀",
        "👩‍👩‍👧‍👦",
        "🇨🇿🇩🇪",
        "👍🏽",
        "é",
        "e\u0301",
        "नमस्ते",
        "한글",
        "日本語",
        "\u200b",
        "\ud83d",
        "\ude00",
    ]
)
texts = st.lists(PIECES, max_size=120).map("".join)
limits = st.integers(2, 200)
# Without blanks, every cut is between characters.
unbroken = st.lists(PIECES.map(lambda piece: "".join(piece.split())), max_size=120).map("".join)


def is_inside_code(text: str) -> bool:
    """Tell, by an independent reader of CommonMark, whether what came after *text* would be code."""
    tokens = MarkdownIt("commonmark").parse(f"{text}\n\nAFTERWARDS")
    return not any(token.type == "inline" and token.content == "AFTERWARDS" for token in tokens)


@given(texts, limits)
def test_the_bodies_joined_are_the_text(text: str, limit: int) -> None:
    assert "".join(part.body for part in split(text, limit)) == text


@given(texts, limits)
def test_no_part_is_over_the_limit_in_utf16_units(text: str, limit: int) -> None:
    for part in split(text, limit):
        assert utf16_units(part.text) <= limit
        assert part.body


@given(texts, st.integers(40, 200))
def test_every_code_block_that_is_cut_is_closed(text: str, limit: int) -> None:
    for part in split(text, limit)[:-1]:
        assert not is_inside_code(part.text), part.text


@given(texts, st.integers(40, 200))
def test_a_code_block_goes_on_where_it_was_cut(text: str, limit: int) -> None:
    parts = split(text, limit)
    for part, following in itertools.pairwise(parts):
        marks = part.closing.strip("\n")
        assert following.opening.startswith(marks)
        assert bool(part.closing) == bool(following.opening)


@given(texts | unbroken, limits)
def test_no_cut_goes_through_a_visible_character(text: str, limit: int) -> None:
    parts = split(text, limit)
    for part, following in itertools.pairwise(parts):
        left, right = part.body[-1], following.body[0]
        assert not ("\ud800" <= left <= "\udbff" and "\udc00" <= right <= "\udfff")
        if limit < 30:
            continue  # where a single visible character fills a message it must be cut
        assert left != "\u200d"
        assert right != "\u200d"
        assert unicodedata.category(right) not in ("Mn", "Me", "Mc")
        assert not "\U0001f3fb" <= right <= "\U0001f3ff"


@given(texts, limits, st.data())
@example("a" * 30 + "\n```\n" + "b" * 60, 40, None)
def test_the_parts_of_a_text_that_grows_stay_as_they_are(
    text: str, limit: int, data: st.DataObject | None
) -> None:
    lengths = [data.draw(st.integers(0, len(text)))] if data else range(len(text))
    for length in lengths:
        earlier, later = split(text[:length], limit), split(text, limit)
        assert earlier[:-1] == later[: max(0, len(earlier) - 1)]


@pytest.mark.parametrize("visible", ["👩‍👩‍👧‍👦", "🇨🇿", "👍🏽", "e\u0301\u0323", "नि", "😀"])
def test_a_row_of_one_character_is_cut_between_them(visible: str) -> None:
    for limit in range(30, 40):
        for part in split(visible * 40, limit):
            assert part.body == visible * (len(part.body) // len(visible))


def test_without_a_limit_there_is_one_part() -> None:
    assert [part.text for part in split("a\n" * 10_000, 0)] == ["a\n" * 10_000]


def test_nothing_has_no_parts() -> None:
    assert split("", 100) == []


def test_a_limit_below_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="max_units"):
        split("abc", 1)


@pytest.mark.parametrize(
    ("text", "bodies"),
    [
        ("one two three four", ["one two ", "three four"]),
        ("aaaaaa.\n\nbbbbbb cc", ["aaaaaa.\n\n", "bbbbbb cc"]),
        ("aaaaaa\nbb cc dd", ["aaaaaa\n", "bb cc dd"]),
        ("aaaaa. bb ccc dd", ["aaaaa. ", "bb ccc dd"]),
        ("aaaaaaaaaaaaaaa", ["aaaaaaaaaa", "aaaaa"]),
    ],
    ids=["words", "paragraphs", "lines", "sentences", "characters"],
)
def test_the_best_place_to_cut_is_taken(text: str, bodies: list[str]) -> None:
    assert [part.body for part in split(text, 10)] == bodies


def test_the_language_of_a_code_block_is_kept() -> None:
    code = "```python\n" + "print('hello')\n" * 10 + "```\nbye"
    parts = split(code, 80)

    assert len(parts) > 2
    assert all(part.text.startswith("```python\n") for part in parts)
    assert all(part.text.endswith("\n```") for part in parts[:-1])
    assert parts[-1].text.endswith("```\nbye")


def test_characters_beyond_the_basic_plane_count_twice() -> None:
    assert utf16_units("a😀é") == 4
    assert [len(part.body) for part in split("😀" * 10, 7)] == [3, 3, 3, 1]


@pytest.mark.parametrize(
    "text",
    ["a" * 200_000, "😀" * 100_000, "\u0301" * 100_000, "```\n" * 50_000, "🇨🇿" * 50_000, " " * 200_000],
    ids=["letters", "emoji", "marks", "fences", "flags", "spaces"],
)
def test_hostile_texts_take_no_long_time(text: str) -> None:
    begun_s = time.process_time()
    parts = split(text, 2000)

    assert time.process_time() - begun_s < 2.0
    assert "".join(part.body for part in parts) == text

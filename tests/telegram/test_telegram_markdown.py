"""Markdown as text with entities."""

from __future__ import annotations

import pytest
from botkit_telegram.markdown import MAX_UNITS, render
from hypothesis import given
from hypothesis import strategies as st
from telegramify_markdown import utf16_len


@pytest.mark.parametrize(
    "text",
    [
        "plain  words\n\n\n- a\n- b",
        "3 * 4 * 5",
        "snake_case_name",
        "**half",
        "  x  y",
        "\N{GRINNING FACE}",
        "1. x",
    ],
)
def test_what_has_no_marks_stays_to_the_letter(text: str) -> None:
    assert (render(text).text, render(text).entities) == (text, ())


def test_marks_become_entities() -> None:
    shown = render("Say **yes** to `x`:\n\n```python\nprint(1)\n```")
    kinds = {
        entity.type: shown.text[entity.offset : entity.offset + entity.length] for entity in shown.entities
    }

    assert kinds == {"bold": "yes", "code": "x", "pre": "print(1)"}
    assert shown.entities[-1].language == "python"


def test_a_block_that_is_still_being_written_is_a_block_already() -> None:
    (entity,) = render("```py\nfor x in").entities

    assert entity.type == "pre"


def test_more_marks_than_telegram_takes_leave_words_without_marks() -> None:
    shown = render("**a** b " * 150)

    assert shown.text.strip() == ("a b " * 150).strip()
    assert len(shown.entities) == 100


def test_halves_of_characters_are_replaced() -> None:
    assert render("a \ud83d b").text == "a \N{REPLACEMENT CHARACTER} b"


@given(st.text(max_size=300))
def test_any_text_is_shown_within_the_limits(text: str) -> None:
    shown = render(text)

    assert utf16_len(shown.text) <= MAX_UNITS
    assert not text.strip() or shown.text.strip()
    length = utf16_len(shown.text)
    assert all(one.offset >= 0 and one.offset + one.length <= length for one in shown.entities)


def test_a_text_that_marks_would_make_too_long_stays_as_it_is() -> None:
    rows = "\n".join(f"| {'a' * 40} | b |" for _ in range(80))
    text = f"| x | y |\n|---|---|\n{rows}"[:MAX_UNITS]

    assert utf16_len(render(text).text) <= MAX_UNITS

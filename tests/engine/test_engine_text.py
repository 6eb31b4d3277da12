"""From tokens to text: whole characters, and no piece of a stop string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_llama import byte_tokenizer

from botkit.engine.detokenizer import Detokenizer, StopStrings

TOKENIZER = byte_tokenizer()
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def pieces_of(text: str) -> list[str]:
    one = Detokenizer(TOKENIZER)
    return [one.add(token) for token in TOKENIZER.encode(text).ids] + [one.flush()]


@given(texts)
def test_the_pieces_are_the_text_whatever_its_characters(text: str) -> None:
    assert "".join(pieces_of(text)) == text.rstrip("\ufffd")


def test_a_character_of_four_bytes_comes_with_its_last() -> None:
    assert pieces_of("a🦊b") == ["a", "", "", "", "🦊", "b", ""]


def test_half_a_character_at_the_end_is_never_shown() -> None:
    one = Detokenizer(TOKENIZER)

    said = [one.add(token) for token in TOKENIZER.encode("é🦊").ids[:-1]]

    assert "".join([*said, one.flush()]) == "é"


def test_special_tokens_have_no_text() -> None:
    one = Detokenizer(TOKENIZER)
    end = TOKENIZER.token_to_id("<|im_end|>")

    assert [one.add(token) for token in [*TOKENIZER.encode("a").ids, end]] == ["a", ""]


def shown(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    watch, text = StopStrings(stops), ""
    for piece in pieces:
        text += watch.add(piece)
        if watch.found:
            return text, True
    return text + watch.flush(), False


@pytest.mark.parametrize(
    ("stops", "pieces", "wanted"),
    [
        (["END"], ["abc", "EN", "D", "x"], ("abc", True)),
        (["END"], ["abcE", "N", "x"], ("abcENx", False)),
        (["aab"], ["aaab"], ("a", True)),
        (["ab", "b"], ["xb"], ("x", True)),
        (["long", "on"], ["l", "o", "n"], ("l", True)),
        ([""], ["abc"], ("abc", False)),
        (["\n\n"], ["one\n", "\ntwo"], ("one", True)),
    ],
)
def test_text_ends_before_the_first_stop_string(stops, pieces, wanted) -> None:
    assert shown(stops, pieces) == wanted


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.data())
def test_how_text_is_cut_does_not_change_where_it_stops(text: str, stops: list[str], data) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    ends = [text.find(stop) for stop in stops if stop in text]
    wanted = text[: min(ends)] if ends else text

    got, found = shown(stops, pieces)

    # Of two stops that end in different pieces, the one complete first counts, though another began earlier.
    assert found is bool(ends)
    assert got == wanted or (found and got.startswith(wanted) and text.startswith(got))

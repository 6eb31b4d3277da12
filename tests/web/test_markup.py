"""Markdown to HTML: the same in one piece or growing, and harmless whatever is written."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from botkit_web.markup import MAX_BLOCK_CHARACTERS, blocks, render, render_block
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

TEXTS = (
    "a paragraph\nof two lines\n\nand another",
    "# a title\n\ntext\n\n## another\n",
    "- one\n\n- two\n\n  still two\n\n- three\n\nafter",
    "1. one\n2. two\n\n3. three",
    "> said\n\n> again",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\nafter",
    "*a* **b** ~~c~~ `d` [e](https://f.example)",
    "----\n\ntext",
)
ALLOWED = {
    "a", "blockquote", "br", "button", "code", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {"href", "rel", "title", "class", "type", "start", "style"}
LEFT_OUT = (
    ' rel="noopener noreferrer nofollow"',
    ' title="https://f.example"',
    '<div class="table">',
    "</div>",
)


class Reader(HTMLParser):
    """Notes tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_means_the_same_cut_into_blocks(text: str) -> None:
    whole = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])

    def plain(html: str) -> str:
        html = html.replace(' rel="noopener noreferrer nofollow"', "").replace(
            ' title="https://f.example"', ""
        )
        return html.replace('<div class="table">', "").replace("</div>", "")

    if text.startswith("> "):
        assert plain(render(text)).count("said") == 1
    else:
        assert plain(render(text)) == whole.render(text)


@pytest.mark.parametrize("fence", ["```", "~~~~"])
def test_code_is_never_cut(fence: str) -> None:
    text = f"{fence}python\na\n\nb\n\n- c\n{fence}"

    assert blocks(f"before\n\n{text}\n\nafter") == ["before\n", f"{text}\n", "after"]


def test_an_open_fence_lasts_to_the_end() -> None:
    assert blocks("```\na\n\nb\n\nc") == ["```\na\n\nb\n\nc"]
    assert blocks("````\na\n```\n\nb") == ["````\na\n```\n\nb"]


def test_code_is_coloured_once_it_is_complete() -> None:
    code = "```python\nreturn 1\n```"

    assert '<span class="k">return</span>' in render_block(code)
    assert "<span class=" not in render_block(code, growing=True)
    assert "return 1" in render_block("```no-such-language\nreturn 1\n```")


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
     "//evil.example/x", "/api", "java\tscript:alert(1)", "&#106;avascript:alert(1)"],
)  # fmt: skip
def test_only_web_and_mail_addresses_become_links(url: str) -> None:
    assert "href" not in read(render(f"[a]({url}) ![b]({url}) <{url}>")).attributes


def test_a_picture_is_a_link_and_is_not_fetched() -> None:
    reader = read(render("![a cat](https://cats.example/1.png)"))

    assert reader.tags == {"p", "a"}
    assert reader.attributes["href"] == {"https://cats.example/1.png"}


@given(st.text(alphabet=st.sampled_from(list("<>\"'&`~*_[]()!#-+|:.\\ \n\tax=/1")), max_size=200))
@example("<script>alert(1)</script>")
@example('![a](https://x.example/"onerror="alert(1))')
@example('[a](https://x.example "\\" onclick=\\"alert(1)")')
@example("```<img src=x>\n<img src=x>\n```")
def test_whatever_is_written_only_harmless_tags_come_out(text: str) -> None:
    reader = read(render(text))

    assert reader.tags <= ALLOWED
    assert reader.attributes.keys() <= ATTRIBUTES
    assert all(value.startswith("text-align:") for value in reader.attributes.get("style", ()))
    assert all(
        url.startswith(("http://", "https://", "mailto:")) for url in reader.attributes.get("href", ())
    )


@given(st.lists(st.sampled_from(["a", "\n", "\n\n", "- ", "1. ", "```", "  ", "> ", "| "]), max_size=40))
def test_a_growing_text_changes_its_last_block_only(pieces: list[str]) -> None:
    before: list[str] = []
    for end in range(len(pieces) + 1):
        now = blocks("".join(pieces[:end]))
        settled = before[:-1]
        assert [block.strip() for block in now[: len(settled)]] == [block.strip() for block in settled]
        before = now


def test_what_is_too_long_to_understand_is_shown_as_it_is() -> None:
    assert render("[" * (MAX_BLOCK_CHARACTERS + 1)).startswith("<pre>[[[")


def test_lone_surrogates_and_controls_do_no_harm() -> None:
    assert "a" in render("a\ud800\x00\x1b")

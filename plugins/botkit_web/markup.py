"""Markdown as models write it, to HTML that is safe by construction.

Raw HTML is text here, only web and mail addresses become links, and pictures become links too: nothing is
fetched because a model wrote it.  The text is cut into blocks that are rendered one by one, so that a growing
answer costs only its last block.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

MAX_BLOCK_CHARACTERS = 10_000
"""A longer block is shown as it is: what is odd enough could take long to understand."""
LINK_SCHEMES = ("http", "https", "mailto")

_FENCE = re.compile(r"\s*(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}|~{3,})")
_LIST_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")


def blocks(text: str) -> list[str]:
    """Return *text* cut at blank lines, where what follows starts anew: no cut inside code or a list."""
    found: list[list[str]] = [[]]
    fence, after_blank = "", False
    for line in text.split("\n"):
        if after_blank and not fence and line.strip() and not _continues(found[-1], line):
            found.append([])
        found[-1].append(line)
        fence = _fence_after(fence, line)
        after_blank = not line.strip()
    return [block for lines in found if (block := "\n".join(lines)).strip()]


def render(text: str) -> str:
    """Return the HTML of a whole text."""
    return "".join(render_block(block) for block in blocks(text))


def render_block(block: str, *, growing: bool = False) -> str:
    """Return the HTML of one block; one that still grows is not worth colouring."""
    if len(block) > MAX_BLOCK_CHARACTERS:
        return f"<pre>{escape(block)}</pre>"
    return str(_markdown.render(block, {"growing": growing}))


def _continues(lines: Sequence[str], line: str) -> bool:
    if not lines:
        return True
    return line.startswith(("  ", "\t")) or bool(_LIST_ITEM.match(lines[0]) and _LIST_ITEM.match(line))


def _fence_after(fence: str, line: str) -> str:
    """Return the code fence that is open after *line*, or "" if none is."""
    match = _FENCE.match(line)
    if match is None:
        return fence
    if not fence:
        return match[1]
    closes = match[1][0] == fence[0] and len(match[1]) >= len(fence) and not line[match.end() :].strip()
    return "" if closes else fence


def _is_link(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in LINK_SCHEMES
    except ValueError:
        return False


def _render_code(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any
) -> str:
    token = tokens[index]
    word = token.info.strip().split(" ")[0]
    language = word if _LANGUAGE.fullmatch(word) else ""
    code = escape(token.content)
    if language and not env.get("growing"):
        code = _coloured(token.content, language) or code
    copy = '<button type="button" class="copy-code">Copy</button>'
    bar = f'<div class="code-bar"><span>{escape(language)}</span>{copy}</div>'
    return f'<div class="code">{bar}<pre><code>{code}</code></pre></div>\n'


def _coloured(code: str, language: str) -> str | None:
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return None
    return str(highlight(code, lexer, _formatter)).rstrip("\n")


def _render_image(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any
) -> str:
    token = tokens[index]
    source = str(token.attrs.get("src", ""))
    name = escape(token.content or "picture")
    if not _is_link(source):
        return name
    return f'<a class="picture" rel="noopener noreferrer nofollow" href="{escape(source)}">{name}</a>'


def _render_link(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any
) -> str:
    token = tokens[index]
    token.attrSet("rel", "noopener noreferrer nofollow")
    token.attrSet("title", str(token.attrs.get("href", "")))
    return str(renderer.renderToken(tokens, index, options, env))


def _make_markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True})
    markdown.enable(["table", "strikethrough"])
    markdown.validateLink = _is_link  # type: ignore[method-assign]
    markdown.add_render_rule("fence", _render_code)
    markdown.add_render_rule("code_block", _render_code)
    markdown.add_render_rule("image", _render_image)
    markdown.add_render_rule("link_open", _render_link)
    markdown.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return markdown


_formatter = HtmlFormatter(nowrap=True)
_markdown = _make_markdown()

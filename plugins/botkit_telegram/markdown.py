"""Markdown as models write it, as text with entities: nothing needs escaping, so nothing is refused."""

from __future__ import annotations

from dataclasses import dataclass

from telegram import MessageEntity
from telegramify_markdown import convert, utf16_len
from telegramify_markdown.config import RenderConfig

MAX_UNITS = 4096
MAX_ENTITIES = 100
"""More than these Telegram leaves unmarked."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text and what is marked in it, as Telegram takes them."""

    text: str
    entities: tuple[MessageEntity, ...] = ()


def render(markdown: str) -> Rendered:
    """Return *markdown* with its marks as entities.

    A text without marks stays as it is to the letter; so does one that would become too long or empty.
    """
    text = clean(markdown)
    shown, found = convert(text, latex_escape=False, config=_CONFIG)
    length = utf16_len(shown)
    entities = [
        MessageEntity(**one.to_dict()) for one in found if 0 <= one.offset < one.offset + one.length <= length
    ]
    if not entities or length > MAX_UNITS or not shown.strip():
        return Rendered(text)
    return Rendered(shown, tuple(entities[:MAX_ENTITIES]))


def clean(text: str) -> str:
    """Return *text* without halves of characters, which no network can carry."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _config() -> RenderConfig:
    config = RenderConfig.isolated()
    symbols = config.markdown_symbol
    for level in range(1, 7):
        setattr(symbols, f"heading_level_{level}", "")
    symbols.image = symbols.link = ""
    symbols.unordered_list_item = "\N{BULLET}"
    return config


_CONFIG = _config()

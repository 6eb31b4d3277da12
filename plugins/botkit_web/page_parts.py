"""The smallest parts that the page is put together from."""

from __future__ import annotations

from html import escape
from typing import Any

from nicegui import ui


def box(tag: str, classes: str) -> Any:
    """Return an element of our own, to be filled in a ``with`` block."""
    return ui.element(tag).classes(classes)


def text(tag: str, classes: str, words: str) -> Any:
    """Return an element that shows *words* as they are."""
    return ui.html(escape(words), sanitize=False, tag=tag).classes(classes)


def button(classes: str, icon: str, label: str, do: str, words: str = "") -> Any:
    """Return a button; *do* names what ``chat.js`` does at a click, *label* tells it to who cannot see it."""
    shown = f"{icon}<span>{escape(words)}</span>" if words else icon
    made = ui.html(shown, sanitize=False, tag="button").classes(classes)
    made.props["type"] = "button"
    made.props["aria-label"] = made.props["title"] = label
    made.props["data-do"] = do
    return made

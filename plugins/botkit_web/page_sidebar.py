"""The list of a browser's conversations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botkit.types import Conversation
from botkit_web import icons
from botkit_web.page_parts import box, button, text
from botkit_web.rooms import room_id_of

MAX_LISTED = 50
UNTITLED = "Untitled"


class Sidebar:
    """The column beside the conversation: the way to a new one, and to the earlier ones."""

    def __init__(self) -> None:
        """Make the column where the ``with`` block around it says."""
        with box("aside", "side") as side:
            side.props["aria-label"] = "Conversations"
            with box("div", "brand"):
                text("span", "wordmark", "botkit")
            button("new", icons.NEW, "Begin a new conversation", "new", "New conversation")
            self._list = box("nav", "list")
            with box("div", "side-foot"):
                button("quiet theme", icons.AUTO + icons.LIGHT + icons.DARK, "Light or dark", "theme")
        self._items: dict[str, Any] = {}
        self._shown: list[tuple[str, str]] = []

    def show(self, conversations: Sequence[Conversation], room_id: str) -> None:
        """List *conversations*, the one with *room_id* marked."""
        listed = [(room_id_of(one), one.title or UNTITLED) for one in conversations if one.title or one.turns]
        if listed != self._shown:
            self._shown = listed
            self._list.clear()
            with self._list:
                self._items = {one: _item(one, title) for one, title in listed}
        for one, item in self._items.items():
            item.classes(add="here") if one == room_id else item.classes(remove="here")


def _item(room_id: str, title: str) -> Any:
    item = text("a", "item", title)
    item.props["href"] = f"/c/{room_id}"
    item.props["data-do"] = "open"
    item.props["data-room"] = room_id
    item.props["title"] = title
    return item

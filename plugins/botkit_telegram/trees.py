"""Which tree of replies a message belongs to: Telegram tells a message's parent only."""

from __future__ import annotations

from collections import OrderedDict

MAX_MESSAGES = 20_000


class Trees:
    """Remembers the root of the latest messages; one that is not known is taken for a root."""

    def __init__(self) -> None:
        """Know none."""
        self._roots: OrderedDict[tuple[int, int], int] = OrderedDict()

    def grow(self, chat_id: int, message_id: int, parent_id: int | None) -> int | None:
        """Note a message under its parent; return the root's id, None for a message that is one."""
        if parent_id is None:
            return None
        root = self._roots.get((chat_id, parent_id), parent_id)
        self._roots[chat_id, message_id] = root
        if len(self._roots) > MAX_MESSAGES:
            self._roots.popitem(last=False)
        return root

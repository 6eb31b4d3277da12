"""How far a conversation reaches: which messages of a chat belong together.

The chat itself is never left out of a key, so what was said in a direct message can never surface in a
group, nor one group's words in another, whatever the scope.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal
from urllib.parse import urlencode

from botkit.types import ConversationKey, Message

Scope = Literal["auto", "chat", "thread", "member", "reply"]


def narrow(message: Message, scope: Scope) -> ConversationKey:
    """Return the key of the conversation that *message* belongs to.

    ``auto`` and ``thread``: the platform's own thread or topic, the whole chat where there is none.
    ``chat``: the whole chat, all its threads together.  ``member``: each person by themselves, in each
    thread.  ``reply``: one tree of replies; adapters name the tree's root in ``reply_to``.  A private chat is
    one conversation by itself and is never narrowed to a member or a tree.
    """
    key = message.conversation
    if scope == "chat":
        return replace(key, thread="")
    if message.private or scope in ("auto", "thread"):
        return key
    part = message.sender.id if scope == "member" else message.reply_to or message.event_id
    # Quoted, so that no two different pairs of thread and part can ever give the same key.
    narrowed = urlencode([(scope, part), ("thread", key.thread)], errors="surrogatepass")
    return replace(key, thread=narrowed)

"""Whether the bot was meant, and what was said to it apart from its name."""

from __future__ import annotations

import re
from collections.abc import Container

from telegram import User

from botkit_telegram.shapes import RawEntity, RawMessage

_COMMAND = re.compile(r"/([A-Za-z]\w{0,31})(?:@(\w+))?(?!\S)")


def said(message: RawMessage) -> str:
    """Return the words of *message*: its text, or what stands under its picture."""
    return message.text or message.caption


def is_addressed(message: RawMessage, me: User, commands: Container[str]) -> bool:
    """Tell whether *message* is for the bot: in private, by its name, as a reply to it, or as a command.

    One of *commands* is a command for it, any other only if it names the bot.
    """
    if message.chat.type == "private" or _is_reply_to(message, me):
        return True
    text = said(message)
    command = _COMMAND.match(text.lstrip())
    if command is not None:
        name, bot = command.groups()
        return _same(bot, me.username) if bot else name.lower() in commands
    entities = message.entities if message.text else message.caption_entities
    if any(_mentions(one, text, me) for one in entities):
        return True
    name = re.escape(me.first_name)
    return bool(name and re.match(rf"\s*{name}(?!\w)", text, re.IGNORECASE))


def without_name(text: str, me: User) -> str:
    """Return *text* without the ``@botname`` it begins with; a text of that alone stays."""
    bare = re.sub(rf"\A\s*@{re.escape(me.username or '')}(?!\w)[\s,:]*", "", text, flags=re.IGNORECASE)
    return bare if bare.strip() else text


def _is_reply_to(message: RawMessage, me: User) -> bool:
    origin = parent(message)
    return origin is not None and origin.sender is not None and origin.sender.id == me.id


def parent(message: RawMessage) -> RawMessage | None:
    """Return what *message* replies to; the beginning of its topic, to which all of it replies, is none."""
    origin = message.reply_to_message
    if origin is None or origin.forum_topic_created is not None:
        return None
    if message.is_topic_message and origin.message_id == message.message_thread_id:
        return None
    return origin


def _mentions(entity: RawEntity, text: str, me: User) -> bool:
    if entity.type == "text_mention":
        return entity.user is not None and entity.user.id == me.id
    return entity.type == "mention" and _same(_part(text, entity).removeprefix("@"), me.username)


def _part(text: str, entity: RawEntity) -> str:
    units = text.encode("utf-16-le", "surrogatepass")
    part = units[2 * max(0, entity.offset) : 2 * max(0, entity.offset + entity.length)]
    return part.decode("utf-16-le", "replace")


def _same(name: str, other: str | None) -> bool:
    return bool(other) and name.lower() == str(other).lower()

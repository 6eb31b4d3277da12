"""From a raw update to what the core understands."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from telegram import User

from botkit.types import ConversationKey, Message, Person
from botkit_telegram.address import is_addressed, parent, said, without_name
from botkit_telegram.keyboard import REGENERATE
from botkit_telegram.shapes import RawChat, RawMessage, RawPress, RawUpdate, RawUser
from botkit_telegram.spot import Spot
from botkit_telegram.trees import Trees

PLATFORM = "telegram"
START = re.compile(r"\A\s*/start(?!\w).*\Z", re.DOTALL | re.IGNORECASE)
"""What Telegram sends in a person's name when they open the chat with the bot."""
ANONYMOUS_ADMIN = 1087968824
"""The account that Telegram shows for admins who write in the name of their group."""


@dataclass(frozen=True, slots=True)
class Press:
    """A press of one of our buttons; ``message`` is what it says, where it says something to the core."""

    id: str
    data: str
    message: Message | None = None


class Unreadable(Exception):
    """An update that makes no sense; ``str()`` says where, and nothing of what was written."""


class Reader:
    """Reads the updates of one bot."""

    def __init__(self, me: User, trees: Trees, commands: Collection[str]) -> None:
        """Read as the account *me*, which understands *commands*; *trees* learns what replies to what."""
        self._me, self._trees, self._commands = me, trees, frozenset(commands)

    def read(self, raw: Any) -> Message | Press | None:
        """Return what *raw* says; None for what is nobody's words.  Raises Unreadable."""
        try:
            update = RawUpdate.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the update"
            raise Unreadable(f"{where}: {first['msg'].lower()}") from None
        except RecursionError:
            raise Unreadable("it is nested too deeply") from None
        if update.callback_query is not None:
            return self._press(update.callback_query)
        return self._message(update.message) if update.message is not None else None

    def _message(self, raw: RawMessage) -> Message | None:
        sender = _person(raw)
        if sender is None or not said(raw).strip() or raw.is_automatic_forward:
            return None
        spot, origin = _spot(raw), parent(raw)
        root = self._trees.grow(spot.chat_id, spot.message_id, origin.message_id if origin else None)
        return Message(
            event_id=spot.event_id,
            conversation=self._key(spot),
            sender=sender,
            text=START.sub("/help", without_name(said(raw), self._me)),
            sent_at=raw.date,
            addressed=is_addressed(raw, self._me, self._commands),
            reply_to=None if root is None else Spot(spot.chat_id, root, spot.thread_id).event_id,
            private=spot.is_private,
        )

    def _press(self, raw: RawPress) -> Press:
        """Return a press as what the person might have typed, where our answer stands."""
        if raw.message is None:
            return Press(raw.id, raw.data)
        spot = _spot(raw.message)
        origin = parent(raw.message)
        root = self._trees.grow(spot.chat_id, spot.message_id, origin.message_id if origin else None)
        # An answer is written anew once, however often the button is pressed: the new one has its own button.
        press = REGENERATE if raw.data == REGENERATE else raw.id
        message = Message(
            event_id=Spot(spot.chat_id, spot.message_id, spot.thread_id, press).event_id,
            conversation=self._key(spot),
            sender=_account(raw.sender),
            text=f"/{REGENERATE}" if raw.data == REGENERATE else "/stop",
            sent_at=raw.message.date,
            addressed=True,
            reply_to=None if root is None else Spot(spot.chat_id, root, spot.thread_id).event_id,
            private=spot.is_private,
        )
        return Press(raw.id, raw.data, message)

    def _key(self, spot: Spot) -> ConversationKey:
        thread = "" if spot.thread_id is None else str(spot.thread_id)
        return ConversationKey(PLATFORM, str(self._me.id), str(spot.chat_id), thread)


def _spot(raw: RawMessage) -> Spot:
    # A thread that is not a topic is only a tree of replies of an ordinary group.
    is_topic = raw.is_topic_message or raw.chat.type == "private"
    return Spot(raw.chat.id, raw.message_id, raw.message_thread_id if is_topic else None)


def _person(raw: RawMessage) -> Person | None:
    if raw.sender is not None and raw.sender.id == ANONYMOUS_ADMIN and raw.sender_chat is not None:
        return _speaking_chat(raw.sender_chat)
    return _account(raw.sender) if raw.sender is not None else None


def _account(raw: RawUser) -> Person:
    return Person(PLATFORM, str(raw.id), raw.name, raw.is_bot)


def _speaking_chat(raw: RawChat) -> Person:
    return Person(PLATFORM, str(raw.id), raw.title)

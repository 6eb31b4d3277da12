"""The inbox: each message of a platform is stored once, however often it is delivered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from botkit.errors import BadRequestError
from botkit.store.people import KnownPerson
from botkit.store.rows import insert_new
from botkit.store.schema import MessageRow
from botkit.store.seal import Place
from botkit.types import Message

_MAX_ID_CHARACTERS = 255
_MAX_PLATFORM_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Taken:
    """The row of a message: whether it is new, and how often its work was begun anew."""

    id: int
    is_new: bool
    attempt: int


_BY_EVENT = select(MessageRow.id, MessageRow.attempt).where(
    MessageRow.platform == bindparam("platform"),
    MessageRow.bot == bindparam("bot"),
    MessageRow.event_id == bindparam("event_id"),
)


def message_place(conversation_id: int, event_id: str) -> Place:
    """Return where the text of a person's message is sealed for."""
    return ("messages", "text", conversation_id, "event", event_id)


def check_ids(message: Message) -> None:
    """Raise BadRequestError for ids that no platform makes and a database cannot keep as they are."""
    key, sender = message.conversation, message.sender
    platforms = {"platform": key.platform, "sender's platform": sender.platform}
    ids = {"event": message.event_id, "bot": key.bot, "chat": key.chat, "thread": key.thread}
    ids |= {"sender": sender.id, "reply": message.reply_to or ""}
    for names, limit in ((platforms, _MAX_PLATFORM_CHARACTERS), (ids, _MAX_ID_CHARACTERS)):
        for name, value in names.items():
            if len(value) > limit:
                raise BadRequestError(f"the message's {name} id has more than {limit} characters")
            if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
                raise BadRequestError(f"the message's {name} id holds characters that no id has")


def take_in(
    session: Session, message: Message, conversation_id: int, person: KnownPerson, now: datetime
) -> Taken:
    """Store *message* as an open job, unless its event is there already."""
    event = {
        "platform": message.conversation.platform,
        "bot": message.conversation.bot,
        "event_id": message.event_id,
    }
    values = {
        **event,
        "conversation_id": conversation_id,
        "person_id": person.id,
        "role": "user",
        "state": "open",
        "attempt": 1,
        "text": person.key.seal(message.text, message_place(conversation_id, message.event_id)),
        "at": message.sent_at,
        "stored_at": now,
        "reply_to": message.reply_to,
        "addressed": message.addressed,
    }
    new_id = insert_new(session, MessageRow, values)
    if new_id is not None:
        return Taken(new_id, is_new=True, attempt=1)
    found = session.execute(_BY_EVENT, event).one()
    return Taken(found.id, is_new=False, attempt=found.attempt)

"""Reading conversations: which of the stored rows are turns, and in which order.

A turn is a message that was not refused, or the answer that stands (also one that was cut short, if it has
text).  Answers that were superseded, and notices of refusal or failure, are rows but not turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session, aliased

from botkit.store.inbox import message_place
from botkit.store.people import KnownPerson, name_place
from botkit.store.rows import insert_new
from botkit.store.schema import ConversationRow, MessageRow, PersonKeyRow, PersonRow
from botkit.store.seal import KeyGoneError, PersonKey, Place, Sealer
from botkit.types import Conversation, ConversationKey, Turn

_NEWEST = 2**62


@dataclass(frozen=True, slots=True)
class Head:
    """A conversation without its turns.  ``start_after_id`` is the last row before the last reset."""

    id: int
    key: ConversationKey
    owner_id: int | None
    title: str
    model: str | None
    start_after_id: int
    updated_at: datetime

    def with_turns(self, turns: Sequence[Turn] = ()) -> Conversation:
        """Return the value that the rest of botkit knows."""
        return Conversation(self.id, self.key, tuple(turns), self.model, self.title, self.updated_at)


_HEAD = (
    select(
        ConversationRow.id,
        ConversationRow.platform,
        ConversationRow.bot,
        ConversationRow.chat,
        ConversationRow.thread,
        ConversationRow.owner_id,
        ConversationRow.title,
        ConversationRow.model,
        ConversationRow.start_after_id,
        ConversationRow.updated_at,
        PersonRow.platform.label("owner_platform"),
        PersonRow.account,
        PersonKeyRow.id.label("key_id"),
        PersonKeyRow.wrapped,
    )
    .select_from(ConversationRow)
    .outerjoin(PersonRow, PersonRow.id == ConversationRow.owner_id)
    .outerjoin(PersonKeyRow, PersonKeyRow.person_id == PersonRow.id)
)
_HEAD_BY_KEY = _HEAD.where(
    ConversationRow.platform == bindparam("platform"),
    ConversationRow.bot == bindparam("bot"),
    ConversationRow.chat == bindparam("chat"),
    ConversationRow.thread == bindparam("thread"),
)
_HEAD_BY_ID = _HEAD.where(ConversationRow.id == bindparam("id"))
_HEADS_OF_OWNER = (
    _HEAD.where(
        ConversationRow.platform == bindparam("platform"),
        ConversationRow.bot == bindparam("bot"),
        PersonRow.platform == bindparam("owner_platform"),
        PersonRow.account == bindparam("account"),
    )
    .order_by(ConversationRow.updated_at.desc(), ConversationRow.id.desc())
    .limit(bindparam("limit"))
)

# An answer stands where its message stands, so answers that overlap come out in order.
_asked = aliased(MessageRow)
_stands_at = func.coalesce(MessageRow.parent_id, MessageRow.id)
_TURNS = (
    select(
        MessageRow.id,
        MessageRow.parent_id,
        MessageRow.attempt,
        MessageRow.role,
        MessageRow.event_id,
        MessageRow.text,
        MessageRow.at,
        PersonRow.platform.label("person_platform"),
        PersonRow.account,
        PersonRow.name,
        PersonKeyRow.id.label("key_id"),
        PersonKeyRow.wrapped,
    )
    .join(PersonRow, PersonRow.id == MessageRow.person_id)
    .join(PersonKeyRow, PersonKeyRow.person_id == PersonRow.id)
    .outerjoin(_asked, _asked.id == MessageRow.parent_id)
    .where(
        MessageRow.conversation_id == bindparam("conversation_id"),
        or_(
            and_(MessageRow.role == "user", MessageRow.state != "refused"),
            and_(
                MessageRow.role == "assistant",
                MessageRow.state.in_(("answered", "cancelled")),
                # An answer whose message is open is stored, but nobody has seen it yet.
                _asked.state != "open",
            ),
        ),
        or_(
            and_(
                MessageRow.id > bindparam("after_id"),
                _stands_at > bindparam("after_id"),
                _stands_at < bindparam("last_id"),
            ),
            MessageRow.id == bindparam("last_id"),
        ),
    )
    .order_by(MessageRow.id.desc())
    .limit(bindparam("limit"))
)


def answer_place(conversation_id: int, parent_id: int, attempt: int) -> Place:
    """Return where the text of an answer is sealed for."""
    return ("messages", "text", conversation_id, "answer", parent_id, attempt)


def title_place(key: ConversationKey) -> Place:
    """Return where the title of a conversation is sealed for."""
    return ("conversations", "title", key.platform, key.bot, key.chat, key.thread)


def find_head(session: Session, sealer: Sealer, key: ConversationKey) -> Head | None:
    """Return the conversation of *key*, or None."""
    named = {"platform": key.platform, "bot": key.bot, "chat": key.chat, "thread": key.thread}
    row = session.execute(_HEAD_BY_KEY, named).one_or_none()
    return None if row is None else _head(sealer, row)


def head_by_id(session: Session, sealer: Sealer, conversation_id: int) -> Head:
    """Return the conversation of the row *conversation_id*, which exists."""
    return _head(sealer, session.execute(_HEAD_BY_ID, {"id": conversation_id}).one())


def heads_of(session: Session, sealer: Sealer, platform: str, bot: str, owner: str, limit: int) -> list[Head]:
    """Return the conversations that *owner* (``platform:account``) began there, newest first."""
    owner_platform, _, account = owner.partition(":")
    named = {"platform": platform, "bot": bot, "owner_platform": owner_platform, "account": account}
    return [_head(sealer, row) for row in session.execute(_HEADS_OF_OWNER, {**named, "limit": limit})]


def ensure_head(
    session: Session,
    sealer: Sealer,
    key: ConversationKey,
    now: datetime,
    owner: KnownPerson | None = None,
    title: str = "",
) -> Head:
    """Return the conversation of *key*, made now if it is new; the first owner and title stay."""
    found = find_head(session, sealer, key)
    if found is None:
        values = {
            "platform": key.platform,
            "bot": key.bot,
            "chat": key.chat,
            "thread": key.thread,
            "start_after_id": 0,
            "created_at": now,
            "updated_at": now,
            "owner_id": owner.id if owner else None,
            "title": owner.key.seal(title, title_place(key)) if owner else None,
        }
        insert_new(session, ConversationRow, values)
        found = find_head(session, sealer, key)
        assert found is not None, "inserted by us, or committed by another"
    return found


def read_turns(
    session: Session, sealer: Sealer, head: Head, max_turns: int, last_id: int = _NEWEST
) -> tuple[Turn, ...]:
    """Return the newest *max_turns* turns since the last reset, oldest first.

    With *last_id* only those before that message, and the message itself as the last one, reset or not.
    """
    named = {
        "conversation_id": head.id,
        "after_id": head.start_after_id,
        "last_id": last_id,
        "limit": max_turns,
    }
    rows = sorted(session.execute(_TURNS, named), key=lambda row: (row.parent_id or row.id, row.id))
    names: dict[str, str] = {}
    turns = (_turn(sealer, head, row, names) for row in rows)
    return tuple(turn for turn in turns if turn is not None)


def _turn(sealer: Sealer, head: Head, row: Row[*tuple[Any, ...]], names: dict[str, str]) -> Turn | None:
    """Return the row as a turn; None for an empty answer, and for what somebody forgotten wrote."""
    ref = f"{row.person_platform}:{row.account}"
    key = sealer.person_key(row.key_id, row.wrapped, ref)
    try:
        if row.parent_id is not None:
            text = key.open(row.text, answer_place(head.id, row.parent_id, row.attempt))
            return Turn(row.id, "assistant", text, head.key.bot, row.at) if text else None
        text = key.open(row.text, message_place(head.id, row.event_id))
    except KeyGoneError:
        return None
    if ref not in names:
        names[ref] = _readable_name(key, row.name, ref) or row.account
    return Turn(row.id, "user", text, names[ref], row.at)


def _readable_name(key: PersonKey, sealed: bytes | None, ref: str) -> str:
    try:
        return key.open(sealed, name_place(ref)) if sealed is not None else ""
    except KeyGoneError:
        return ""


def _head(sealer: Sealer, row: Row[*tuple[Any, ...]]) -> Head:
    where = ConversationKey(row.platform, row.bot, row.chat, row.thread)
    title = ""
    if row.title is not None and row.wrapped is not None:
        key = sealer.person_key(row.key_id, row.wrapped, f"{row.owner_platform}:{row.account}")
        try:
            title = key.open(row.title, title_place(where))
        except KeyGoneError:
            title = ""
    return Head(row.id, where, row.owner_id, title, row.model, row.start_after_id, row.updated_at)

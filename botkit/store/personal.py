"""What is kept of one person: counted, written out, and forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from botkit.store.history import answer_place
from botkit.store.inbox import message_place
from botkit.store.people import forget_key
from botkit.store.schema import ConversationRow, MessageRow, PersonKeyRow, PersonRow
from botkit.store.seal import KeyGoneError, Sealer


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much is kept of a person; ``since`` is None when there is nothing."""

    n_messages: int = 0
    n_answers: int = 0
    n_conversations: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that is kept: what the person said (``role`` user), or the answer to it."""

    conversation: str
    role: str
    at: datetime
    text: str


def holdings(session: Session, platform: str, account: str) -> Holdings:
    """Return how much is kept of the person."""
    counted = session.execute(
        select(MessageRow.role, func.count())
        .join(PersonRow, PersonRow.id == MessageRow.person_id)
        .where(PersonRow.platform == platform, PersonRow.account == account)
        .group_by(MessageRow.role)
    )
    of_role = {role: n for role, n in counted}  # noqa: C416 - a row is no pair to dict()
    n_conversations, since = session.execute(
        select(func.count(MessageRow.conversation_id.distinct()), func.min(MessageRow.stored_at))
        .join(PersonRow, PersonRow.id == MessageRow.person_id)
        .where(PersonRow.platform == platform, PersonRow.account == account)
    ).one()
    return Holdings(of_role.get("user", 0), of_role.get("assistant", 0), n_conversations, since)


def records(session: Session, sealer: Sealer, platform: str, account: str) -> Iterator[Record]:
    """Yield all that is kept of the person, in the order in which it came."""
    rows = session.execute(
        select(MessageRow, ConversationRow.chat, PersonKeyRow.id, PersonKeyRow.wrapped)
        .join(PersonRow, PersonRow.id == MessageRow.person_id)
        .join(PersonKeyRow, PersonKeyRow.person_id == PersonRow.id)
        .join(ConversationRow, ConversationRow.id == MessageRow.conversation_id)
        .where(PersonRow.platform == platform, PersonRow.account == account)
        .order_by(MessageRow.id)
    )
    for message, chat, key_id, wrapped in rows:
        key = sealer.person_key(key_id, wrapped, f"{platform}:{account}")
        place = (
            message_place(message.conversation_id, message.event_id or "")
            if message.parent_id is None
            else answer_place(message.conversation_id, message.parent_id, message.attempt)
        )
        try:
            text = key.open(message.text, place)
        except KeyGoneError:
            continue  # sealed with an earlier key of theirs, which was forgotten
        yield Record(chat, message.role, message.at, text)


def forget(session: Session, platform: str, account: str) -> int:
    """Delete the person's key, and all they said and were answered; return how many messages that were.

    Copies of the database made before still hold the key.
    """
    person_id = session.execute(
        select(PersonRow.id).where(PersonRow.platform == platform, PersonRow.account == account)
    ).scalar()
    if person_id is None:
        return 0
    forget_key(session, platform, account)
    n_messages: int = session.execute(
        select(func.count()).where(MessageRow.person_id == person_id, MessageRow.role == "user")
    ).scalar_one()
    # Answers first: they point to what they answer.
    theirs = MessageRow.person_id == person_id
    session.execute(delete(MessageRow).where(theirs, MessageRow.role == "assistant"))
    session.execute(delete(MessageRow).where(theirs))
    session.execute(
        update(ConversationRow).where(ConversationRow.owner_id == person_id).values(title=None, owner_id=None)
    )
    session.execute(update(PersonRow).where(PersonRow.id == person_id).values(name=None))
    return n_messages

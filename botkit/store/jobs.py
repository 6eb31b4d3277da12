"""The jobs: every stored message is one, open until it has its one outcome."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Executable, bindparam, select, true, update
from sqlalchemy.orm import Session

from botkit.store.answers import NOTHING, Underway, underway
from botkit.store.inbox import message_place
from botkit.store.people import name_place
from botkit.store.schema import ConversationRow, MessageRow, PersonKeyRow, PersonRow
from botkit.store.seal import KeyGoneError, Sealer
from botkit.types import ConversationKey, Message, Outcome, Person


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """A stored message without an outcome.  ``attempt`` counts how often work on it was begun, from 1.

    ``answer`` is what an earlier process left of its answer.
    """

    message_id: int
    message: Message
    attempt: int = 1
    answer: Underway = NOTHING


_OPEN = (
    select(
        MessageRow.id,
        MessageRow.conversation_id,
        MessageRow.event_id,
        MessageRow.text,
        MessageRow.at,
        MessageRow.addressed,
        MessageRow.reply_to,
        MessageRow.attempt,
        ConversationRow.platform,
        ConversationRow.bot,
        ConversationRow.chat,
        ConversationRow.thread,
        PersonRow.platform.label("person_platform"),
        PersonRow.account,
        PersonRow.name,
        PersonRow.is_bot,
        PersonKeyRow.id.label("key_id"),
        PersonKeyRow.wrapped,
    )
    .join(ConversationRow, ConversationRow.id == MessageRow.conversation_id)
    .join(PersonRow, PersonRow.id == MessageRow.person_id)
    .join(PersonKeyRow, PersonKeyRow.person_id == PersonRow.id)
    .where(MessageRow.state == "open", MessageRow.role == "user")
    .order_by(MessageRow.id)
)


def finish(session: Session, message_id: int, outcome: Outcome, attempt: int | None) -> bool:
    """Give an open message its outcome; False when it has one, or a newer attempt has begun.

    The row is the fence: of two that finish the same message, one is told True.
    """
    statement = update(MessageRow).where(MessageRow.id == message_id, MessageRow.state == "open")
    if attempt is not None:
        statement = statement.where(MessageRow.attempt == attempt)
    done = session.execute(statement.values(state=outcome).returning(MessageRow.id))
    return done.scalar() is not None


def take_up(
    session: Session, sealer: Sealer, now: datetime, platforms: Collection[str] | None = None
) -> list[OpenMessage]:
    """Return the open messages (of *platforms*), oldest first, each as a new attempt."""
    theirs = true() if platforms is None else MessageRow.platform.in_(list(platforms))
    session.execute(
        update(MessageRow)
        .where(MessageRow.state == "open", MessageRow.role == "user", theirs)
        .values(attempt=MessageRow.attempt + 1)
        .execution_options(synchronize_session=False)
    )
    begun = underway(session, sealer, now)
    found = _read_open(session, sealer, _OPEN.where(theirs))
    return [replace(one, answer=begun.get(one.message_id, NOTHING)) for one in found]


def reopen_last(session: Session, conversation_id: int, after_id: int) -> int | None:
    """Open the newest message with an answer, an abort or a failure again and set its answers aside.

    Only messages newer than *after_id* are looked at.  Returns the message's id, or None.
    """
    found = session.execute(
        select(MessageRow.id)
        .where(
            MessageRow.conversation_id == bindparam("conversation_id"),
            MessageRow.id > bindparam("after_id"),
            MessageRow.role == "user",
            MessageRow.state.in_(("answered", "cancelled", "failed")),
        )
        .order_by(MessageRow.id.desc())
        .limit(1),
        {"conversation_id": conversation_id, "after_id": after_id},
    ).scalar()
    if found is None:
        return None
    session.execute(update(MessageRow).where(MessageRow.parent_id == found).values(state="superseded"))
    session.execute(
        update(MessageRow)
        .where(MessageRow.id == found)
        .values(state="open", attempt=MessageRow.attempt + 1)
        .execution_options(synchronize_session=False)
    )
    return found


def _read_open(session: Session, sealer: Sealer, statement: Executable) -> Iterator[OpenMessage]:
    for row in session.execute(statement):
        ref = f"{row.person_platform}:{row.account}"
        key = sealer.person_key(row.key_id, row.wrapped, ref)
        try:
            text = key.open(row.text, message_place(row.conversation_id, row.event_id or ""))
            name = key.open(row.name, name_place(ref)) if row.name is not None else ""
        except KeyGoneError:
            continue  # forgotten between storing and now; forgetting closed the job
        where = ConversationKey(row.platform, row.bot, row.chat, row.thread)
        sender = Person(row.person_platform, row.account, name, row.is_bot)
        message = Message(row.event_id or "", where, sender, text, row.at, row.addressed, row.reply_to)
        yield OpenMessage(row.id, message, row.attempt)

"""Answers on their way: which messages of one are on the platform, and its final text before it is shown.

The row of an answer is open while it is written, and has its outcome from the moment its final text is known.
The message it answers stays open until that text has been shown.  So whatever ends the process, the next one
finds either what to finish, or what to show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from botkit.store.history import answer_place
from botkit.store.people import person_by_id
from botkit.store.rows import insert_new
from botkit.store.schema import MessageRow
from botkit.store.seal import KeyGoneError, Sealer
from botkit.types import Outcome


@dataclass(frozen=True, slots=True)
class Underway:
    """What an earlier process left of an answer.  ``outcome`` is None while its ``text`` was not final."""

    receipts: tuple[str, ...] = ()
    text: str = ""
    outcome: Outcome | None = None


NOTHING = Underway()


def keep(
    session: Session,
    sealer: Sealer,
    asked: MessageRow,
    state: str,
    text: str,
    receipts: Iterable[str],
    measured: Mapping[str, object],
    now: datetime,
) -> int:
    """Store the answer of the current attempt to *asked*, or what is new of it; return its row's id.

    Answers of earlier attempts are set aside.
    """
    person = person_by_id(session, sealer, asked.person_id, now)
    place = answer_place(asked.conversation_id, asked.id, asked.attempt)
    values: dict[str, object] = {
        "state": state,
        "text": person.key.seal(text, place),
        "receipts": list(receipts),
        **measured,
    }
    siblings = MessageRow.parent_id == asked.id
    session.execute(
        update(MessageRow)
        .where(siblings, MessageRow.attempt < asked.attempt)
        .values(state="superseded")
        .execution_options(synchronize_session=False)
    )
    found = session.execute(
        select(MessageRow.id).where(siblings, MessageRow.attempt == asked.attempt)
    ).scalar()
    if found is not None:
        session.execute(
            update(MessageRow)
            .where(MessageRow.id == found)
            .values(values)
            .execution_options(synchronize_session=False)
        )
        return found
    new_id = insert_new(
        session,
        MessageRow,
        {
            **values,
            "conversation_id": asked.conversation_id,
            "person_id": person.id,
            "parent_id": asked.id,
            "role": "assistant",
            "attempt": asked.attempt,
            "at": now,
            "stored_at": now,
            "addressed": True,
        },
    )
    assert new_id is not None, "one answer for each attempt, and there was none"
    return new_id


def underway(session: Session, sealer: Sealer, now: datetime) -> dict[int, Underway]:
    """Return what there is of the answers to open messages, by message."""
    asked = aliased(MessageRow)
    rows = session.execute(
        select(MessageRow)
        .join(asked, asked.id == MessageRow.parent_id)
        .where(asked.state == "open", MessageRow.state != "superseded")
        .order_by(MessageRow.attempt)
    ).scalars()
    found: dict[int, Underway] = {}
    for row in rows:
        assert row.parent_id is not None
        receipts = tuple(row.receipts or ())
        if row.state == "open":
            found[row.parent_id] = Underway(receipts)
            continue
        person = person_by_id(session, sealer, row.person_id, now)
        place = answer_place(row.conversation_id, row.parent_id, row.attempt)
        try:
            text = person.key.open(row.text, place)
        except KeyGoneError:
            continue
        found[row.parent_id] = Underway(receipts, text, cast("Outcome", row.state))
    return found

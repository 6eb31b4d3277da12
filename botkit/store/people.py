"""Who wrote: one row for each person, and the key that seals what they wrote until they are forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, select, update
from sqlalchemy.orm import Session

from botkit.store.rows import insert_new
from botkit.store.schema import MessageRow, PersonKeyRow, PersonRow
from botkit.store.seal import KeyGoneError, PersonKey, Place, Sealer
from botkit.types import Person


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """A person as the store knows them: the row's id, and the key for what they write now."""

    id: int
    ref: str
    key: PersonKey


_PERSON = (
    select(
        PersonRow.id,
        PersonRow.platform,
        PersonRow.account,
        PersonRow.name,
        PersonRow.is_bot,
        PersonKeyRow.id.label("key_id"),
        PersonKeyRow.wrapped,
    )
    .select_from(PersonRow)
    .outerjoin(PersonKeyRow, PersonKeyRow.person_id == PersonRow.id)
)
_BY_NAME = _PERSON.where(
    PersonRow.platform == bindparam("platform"), PersonRow.account == bindparam("account")
)
_BY_ID = _PERSON.where(PersonRow.id == bindparam("id"))


def name_place(ref: str) -> Place:
    """Return where the name of the person *ref* is sealed for."""
    return ("people", "name", ref)


def ensure_person(session: Session, sealer: Sealer, person: Person, now: datetime) -> KnownPerson:
    """Return *person*'s row, made now if they are new; keeps the newest of their names."""
    named = {"platform": person.platform, "account": person.id}
    row = session.execute(_BY_NAME, named).one_or_none()
    if row is None:
        new = {**named, "name": None, "is_bot": person.is_bot, "first_seen_at": now}
        insert_new(session, PersonRow, new)
        row = session.execute(_BY_NAME, named).one()
    known = _with_key(session, sealer, row, now)
    if person.name and _name(row, known) != person.name:
        sealed = known.key.seal(person.name, name_place(known.ref))
        session.execute(update(PersonRow).where(PersonRow.id == known.id).values(name=sealed))
    return known


def person_by_id(session: Session, sealer: Sealer, person_id: int, now: datetime) -> KnownPerson:
    """Return the person of the row *person_id*, with a new key if the old one was deleted."""
    return _with_key(session, sealer, session.execute(_BY_ID, {"id": person_id}).one(), now)


def forget_key(session: Session, platform: str, account: str) -> bool:
    """Delete a person's key, so that nothing they wrote can be read again; tell whether there was one.

    Messages of theirs that nobody answered yet are cancelled.  Copies of the database still hold the key.
    """
    found = session.execute(_BY_NAME, {"platform": platform, "account": account}).one_or_none()
    if found is None or found.key_id is None:
        return False
    session.execute(delete(PersonKeyRow).where(PersonKeyRow.id == found.key_id))
    session.execute(
        update(MessageRow)
        .where(MessageRow.person_id == found.id, MessageRow.state == "open")
        .values(state="cancelled")
    )
    return True


def _with_key(
    session: Session,
    sealer: Sealer,
    row: Row[*tuple[Any, ...]],
    now: datetime,
) -> KnownPerson:
    ref = f"{row.platform}:{row.account}"
    key_id, wrapped = row.key_id, row.wrapped
    if key_id is None:
        new = {"person_id": row.id, "wrapped": sealer.new_key(ref), "created_at": now}
        insert_new(session, PersonKeyRow, new)
        # Read back, because another process may have been quicker: its key is the one.
        found = session.execute(
            select(PersonKeyRow.id, PersonKeyRow.wrapped).where(PersonKeyRow.person_id == row.id)
        ).one()
        key_id, wrapped = found.id, found.wrapped
    return KnownPerson(row.id, ref, sealer.person_key(key_id, wrapped, ref))


def _name(row: Row[*tuple[Any, ...]], known: KnownPerson) -> str:
    if row.name is None:
        return ""
    try:
        return known.key.open(row.name, name_place(known.ref))
    except KeyGoneError:
        return ""

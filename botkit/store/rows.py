"""The one statement that both databases spell alike but SQLAlchemy does not: insert unless it is there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session


def table_of(row_class: type[DeclarativeBase]) -> Table:
    """Return the table behind *row_class*."""
    table = row_class.__table__
    assert isinstance(table, Table)
    return table


def insert_new(session: Session, row_class: type[DeclarativeBase], values: dict[str, Any]) -> int | None:
    """Insert a row and return its id; None when a unique constraint says that it is there already.

    Safe against others who insert the same at the same time: theirs is committed when this returns None.
    """
    table = table_of(row_class)
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).on_conflict_do_nothing().returning(table.c.id)
    found: int | None = session.execute(statement, values).scalar()
    return found

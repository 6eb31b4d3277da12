"""Copies of a SQLite database, and reading one that a running bot has open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from botkit.errors import StoreError
from botkit.store.address import Address, parse_address
from botkit.store.connect import BUSY_TIMEOUT_MS, copy_sqlite
from botkit.store.failures import translate


def backup(url: str, to: Path) -> int:
    """Copy the SQLite database at *url* to the new file *to* and return its size in bytes.

    The bot may run meanwhile: the copy is one consistent moment.  Raises StoreError.
    """
    address = parse_address(url)
    if not address.is_sqlite:
        raise StoreError(
            f"the database {address.shown} is PostgreSQL, which has its own tool for copies",
            hint="pg_dump --format=custom --file=FILE; pg_restore brings it back",
        )
    if to.exists():
        raise StoreError(f"{to} exists already", hint="choose another name; copies are never overwritten")
    if address.path is None or not address.path.exists():
        raise StoreError(f"there is no database {address.shown}", hint="check database.url and --data")
    try:
        with closing(_open_to_read(address.path)) as source:
            copy_sqlite(source, to)
    except sqlite3.Error as error:
        raise StoreError(f"the database {address.shown} cannot be read: {error}") from error
    return to.stat().st_size


@contextmanager
def reading(address: Address) -> Iterator[Connection]:
    """Give a connection that only reads the SQLite file, beside a running bot; closes it."""
    path = address.path
    assert path is not None, "only a file can be read beside another process"
    engine = create_engine(
        "sqlite://", creator=lambda: _open_to_read(path), poolclass=NullPool, hide_parameters=True
    )
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise translate(error, address) from error


def _open_to_read(path: Path) -> sqlite3.Connection:
    # A reader neither writes nor checkpoints, so it may stand beside the one writer even on SQLite
    # versions that can lose commits with two writers.
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}").close()
    return connection

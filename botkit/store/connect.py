"""How a connection is made, and which settings it has; whoever opens one here closes it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from botkit.errors import StoreError
from botkit.store.address import Address
from botkit.store.failures import translate
from botkit.store.lock import FileLock

BUSY_TIMEOUT_MS = 5000
POOL_SIZE = 8
_POSTGRES_TIMEOUTS = "-c statement_timeout=10s -c idle_in_transaction_session_timeout=30s"
_CONNECT_TIMEOUT_S = 5

# FULL: "stored" must survive a power cut, because the platform is told at once.
_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    f"PRAGMA journal_size_limit={16 * 1024 * 1024}",
)


def sqlite_engine(address: Address) -> Engine:
    """Return an engine whose connections write ``BEGIN IMMEDIATE``.

    So a lock is asked for at the start, where waiting for it works, and never in the middle of a
    transaction, where it does not.
    """

    def connect() -> sqlite3.Connection:
        if address.path is None:
            return sqlite3.connect(":memory:", isolation_level=None)
        try:
            os.close(os.open(address.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:  # the engine translates sqlite3's errors only
            raise translate(error, address) from error
        return sqlite3.connect(address.path, isolation_level=None)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in _PRAGMAS:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def postgres_engine(address: Address) -> Engine:
    """Return an engine with a small pool; broken connections are noticed before they are used."""
    given = address.url.query.get("options", "")
    return create_engine(
        address.url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "application_name": "botkit",
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "options": f"{given} {_POSTGRES_TIMEOUTS}".strip(),
        },
    )


@contextmanager
def alone(address: Address) -> Iterator[Connection]:
    """Give the database's only connection of this process, for administration; closes it.

    SQLite: holds the lock file meanwhile.  Raises StoreError.
    """
    lock = FileLock(address.path) if address.path else None
    sound = not (lock and lock.was_unclean)
    engine = sqlite_engine(address) if address.is_sqlite else postgres_engine(address)
    try:
        with engine.connect() as connection:
            if not sound:
                check_integrity(connection, address)
                sound = True
            yield connection
    except SQLAlchemyError as error:
        raise translate(error, address) from error
    finally:
        engine.dispose()
        if lock:
            lock.release(clean=sound)


def check_integrity(connection: Connection, address: Address) -> None:
    """Run SQLite's quick check; raises StoreError for a damaged file."""
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    connection.rollback()
    if verdict != "ok":
        raise StoreError(
            f"the database {address.shown} is damaged: {str(verdict).splitlines()[-1]}",
            hint="restore a copy made by 'botkit db backup'",
        )


def copy_sqlite(source: sqlite3.Connection, to: Path) -> None:
    """Copy an open database to the file *to*, all or nothing; others may go on writing meanwhile.

    Raises StoreError when the copy cannot be written.
    """
    part = to.with_name(to.name + ".part")
    try:
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE").close()
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(to)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write the copy {to}: {error}", hint="check the folder and its space"
        ) from error

"""Schema versions: Alembic, configured in code, on a connection that is already open.

The migrations lie in ``migrations/`` of a checkout and in ``botkit/_migrations`` of an installed wheel.
"""

from __future__ import annotations

import importlib.resources
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from botkit.errors import StoreError, UnknownNameError
from botkit.store.address import Address, parse_address
from botkit.store.backup import reading
from botkit.store.connect import alone, copy_sqlite

# Any fixed number: the lock that two processes upgrading one PostgreSQL database compete for.
_ADVISORY_LOCK = 0x626F746B6974


@dataclass(frozen=True, slots=True)
class Revisions:
    """Which schema a database has (None: no tables yet), and which this botkit wants."""

    current: str | None
    newest: str


def scripts() -> Path:
    """Return the folder of the migrations; raises StoreError for an installation without them."""
    package = Path(str(importlib.resources.files("botkit")))
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError("this installation of botkit has no migrations", hint="install botkit again")


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, with *connection* for ``env.py`` to use."""
    made = Config()
    made.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def revisions(connection: Connection) -> Revisions:
    """Read the revision of the database behind *connection*, and the newest one that we have."""
    newest = ScriptDirectory.from_config(config()).get_current_head()
    assert newest is not None, "the migrations have one head"
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    return Revisions(current, newest)


def ensure_current(connection: Connection, address: Address, *, auto_migrate: bool) -> None:
    """Bring the schema to the newest revision; raises StoreError where it is newer, or may not be touched."""
    found = revisions(connection)
    _refuse_newer(found, address)
    if found.current == found.newest:
        return
    if not auto_migrate:
        state = f"has schema {found.current}" if found.current else "has no tables yet"
        raise StoreError(
            f"the database {address.shown} {state}, this botkit needs {found.newest}",
            hint="run 'botkit db upgrade', or set database.auto_migrate=true",
        )
    _change(connection, address, found, lambda alembic: command.upgrade(alembic, "head"))


def upgrade(url: str) -> Revisions:
    """Upgrade the database at *url* and return what it had before, and has now.  Raises StoreError."""
    address = parse_address(url)
    with alone(address) as connection:
        before = revisions(connection)
        ensure_current(connection, address, auto_migrate=True)
        return before


def downgrade(url: str, revision: str) -> Revisions:
    """Take the database at *url* back to *revision* (``-1``: one step, ``base``: no tables).

    What only the newer schema can hold is lost; on SQLite a copy is made first.  Returns what it had before,
    and has now.  Raises StoreError, and UnknownNameError for a revision that does not exist.
    """
    address = parse_address(url)
    with alone(address) as connection:
        before = revisions(connection)
        _refuse_newer(before, address)
        if before.current is None:
            raise StoreError(f"the database {address.shown} has no tables yet: nothing to downgrade")
        try:
            _change(connection, address, before, lambda alembic: command.downgrade(alembic, revision))
        except CommandError:
            raise UnknownNameError("revision", revision, ["base", "-1", *_known()]) from None
        return Revisions(before.current, revisions(connection).current or "base")


def current(url: str) -> Revisions:
    """Return the revisions of the database at *url* without changing anything; SQLite may be in use."""
    address = parse_address(url)
    if address.path is None:
        with alone(address) as connection:
            return revisions(connection)
    if not address.path.exists():
        raise StoreError(
            f"there is no database {address.shown}", hint="'botkit run' or 'botkit db upgrade' makes it"
        )
    with reading(address) as connection:
        return revisions(connection)


def _known() -> list[str]:
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]


def _refuse_newer(found: Revisions, address: Address) -> None:
    if found.current is not None and found.current not in _known():
        raise StoreError(
            f"the database {address.shown} has schema {found.current}, newer than {found.newest},"
            " the newest this botkit knows",
            hint="upgrade botkit, or restore the copy made before the upgrade",
        )


def _change(
    connection: Connection, address: Address, found: Revisions, change: Callable[[Config], None]
) -> None:
    """Run *change* in one transaction, alone, after a copy of what is there."""
    if address.path is not None and found.current is not None:
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        copy_sqlite(driver, address.path.with_name(f"{address.path.name}.schema-{found.current}.bak"))
    with _undisturbed(connection, address):
        change(config(connection))


@contextmanager
def _undisturbed(connection: Connection, address: Address) -> Iterator[None]:
    """Open a transaction that no other upgrade runs beside, with foreign keys out of the way on SQLite.

    SQLite changes a table by copying it, which must not cascade; the keys are checked before the commit.
    """
    if not address.is_sqlite:
        with connection.begin():
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield
        return
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    driver.execute("PRAGMA foreign_keys=OFF").close()
    try:
        with connection.begin():
            yield
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise StoreError(f"the migration of {address.shown} broke a foreign key; nothing was changed")
    finally:
        driver.execute("PRAGMA foreign_keys=ON").close()

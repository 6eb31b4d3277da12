"""The database as the event loop sees it: ``await database.run(work)``, one transaction each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from botkit.errors import StoreError
from botkit.store import migrate
from botkit.store.address import Address, parse_address
from botkit.store.connect import check_integrity, postgres_engine, sqlite_engine
from botkit.store.failures import translate
from botkit.store.lock import FileLock
from botkit.store.writer import Job, PostgresPool, Runner, SqliteWriter

T = TypeVar("T")


class Database:
    """An open database.  Whoever opened it awaits ``aclose``.

    SQLite: one writer thread, one connection, one process.  PostgreSQL: a small pool.
    """

    def __init__(self, address: Address, runner: Runner, lock: FileLock | None) -> None:
        """Use ``Database.open``."""
        self.address = address
        self._runner = runner
        self._lock = lock
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, url: str, *, auto_migrate: bool = True) -> Database:
        """Open the database at *url*, and bring its schema up to date where *auto_migrate* allows.

        Raises ConfigError for a URL of no use, and StoreError, each with one line, for a database that is
        locked, read-only, damaged, unreachable, or from a newer botkit.
        """
        address = parse_address(url)

        def prepare(connection: Connection) -> None:
            if lock and lock.was_unclean:
                check_integrity(connection, address)
            migrate.ensure_current(connection, address, auto_migrate=auto_migrate)

        lock = await asyncio.to_thread(FileLock, address.path) if address.path else None
        runner: Runner = (
            SqliteWriter(sqlite_engine(address), address, prepare)
            if address.is_sqlite
            else PostgresPool(postgres_engine(address), address, prepare)
        )
        database = cls(address, runner, lock)
        await database._wait_until(runner.opened)
        return database

    async def _wait_until(self, opened: Future[None]) -> None:
        """Wait for *opened*; close whatever is there when it fails or the wait is cancelled."""
        is_open = False
        try:
            await asyncio.wrap_future(opened)
            is_open = True
        finally:
            if not is_open:
                damaged = self._lock is not None and self._lock.was_unclean
                await self._close(clean=not damaged)

    async def run(self, work: Callable[[Session], T]) -> T:
        """Run *work* in one transaction and return its result once that is committed.

        *work* runs in another thread with a session of its own, and raises to roll back; it may run twice,
        so its only effects must be on the session.  It should return plain values, not rows.  Cancelling the
        caller does not stop it: a transaction is whole or absent, and one that was handed in is carried out.
        Raises what *work* raises; SQLAlchemy's errors become StoreError.
        """
        if self._closing is not None:
            raise StoreError(f"the database {self.address.shown} has been closed")
        job = Job(work)
        self._runner.submit(job)
        return await asyncio.wrap_future(job.future)

    async def aclose(self) -> None:
        """Finish what is under way and close everything.  Safe to call twice."""
        await self._close(clean=True)

    async def _close(self, *, clean: bool) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(asyncio.to_thread(self._end, clean))
        # Shielded: a cancelled caller leaves the closing to finish by itself.
        await asyncio.shield(self._closing)

    def _end(self, clean: bool) -> None:
        try:
            self._runner.close()
        except SQLAlchemyError as error:
            raise translate(error, self.address) from error
        finally:
            if self._lock:
                self._lock.release(clean=clean)

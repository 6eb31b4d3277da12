"""Who runs the transactions: one thread with one connection for SQLite, a few threads for PostgreSQL.

Both take ``Job``s: a function of a session, and the promise of its result.  A job that was handed in always
runs to its end, whether or not anybody still waits for it; its result is told after the COMMIT, never before.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from botkit.errors import StoreError
from botkit.store.address import Address
from botkit.store.connect import POOL_SIZE
from botkit.store.failures import translate

T = TypeVar("T")
GROUP_SIZE = 32


class Caught:
    """A ``with`` block that keeps what was raised in it, for the one who asked for the work."""

    error: BaseException | None = None

    def __enter__(self) -> Caught:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True


class Job(Generic[T]):
    """Some work for one transaction, and the future of its result.

    ``work`` may run a second time when the group it was in could not be committed as a whole, so it must
    have no effect but on its session.
    """

    def __init__(self, work: Callable[[Session], T]) -> None:
        """Promise the result of *work*."""
        self.work = work
        self.future: Future[T] = Future()
        # A running future cannot be cancelled: whoever stops waiting does not stop the work.
        self.future.set_running_or_notify_cancel()
        self._result: T | None = None
        self._error: BaseException | None = None

    def run(self, session: Session) -> None:
        """Do the work and commit *session*; what it raises is kept, not raised."""
        with Caught() as closing, session, Caught() as working:
            self._result = self.work(session)
            session.commit()
        # On a full disk SQLite rolls back before the session can, so the first error is the one to tell.
        self._error = working.error or closing.error

    def fail(self, error: BaseException) -> None:
        """Let the job end with *error*, unless it has one of its own."""
        self._error = self._error or error

    def tell(self, address: Address) -> None:
        """Hand result or error to whoever waits."""
        error = self._error
        if error is None:
            self.future.set_result(cast("T", self._result))
            return
        self.future.set_exception(_shown(error, address))


class Runner(Protocol):
    """What ``Database`` needs of either kind."""

    opened: Future[None]

    def submit(self, job: Job[Any]) -> None:
        """Take *job*; it will run and be told."""

    def close(self) -> None:
        """Finish what was submitted, close the connections, return.  Blocks."""


class TransactionLostError(StoreError):
    """SQLite rolled the whole transaction back by itself, as it does on a full disk."""


class SqliteWriter:
    """The one thread that touches the SQLite file.

    Jobs that wait together share one COMMIT (an fsync each would be most of the cost), each in a savepoint.
    The queue is bounded by its callers: each awaits its job.
    """

    def __init__(self, engine: Engine, address: Address, prepare: Callable[[Connection], None]) -> None:
        """Start the thread; ``opened`` is done when *prepare* returned, or failed."""
        self._engine, self._address, self._prepare = engine, address, prepare
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self.opened: Future[None] = Future()
        self.opened.set_running_or_notify_cancel()
        # A daemon: a forgotten ``aclose`` must not hang the interpreter, and SQLite survives it.
        self._thread = threading.Thread(target=self._main, name="botkit-store", daemon=True)
        self._thread.start()

    def submit(self, job: Job[Any]) -> None:
        """Take *job*; it will run and be told."""
        self._jobs.put(job)

    def close(self) -> None:
        """Finish what was submitted and close the connection.  Blocks."""
        self._jobs.put(None)
        self._thread.join()

    def _main(self) -> None:
        with Caught() as caught:
            connection = self._engine.connect()
            with connection:
                self._prepare(connection)
                self.opened.set_result(None)
                self._serve(connection)
        self._engine.dispose()
        if caught.error is not None and not self.opened.done():
            self.opened.set_exception(_shown(caught.error, self._address))

    def _serve(self, connection: Connection) -> None:
        while (first := self._jobs.get()) is not None:
            group = [first]
            last = False
            while len(group) < GROUP_SIZE and not last:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    last = True
                else:
                    group.append(job)
            self._commit(connection, group)
            if last:
                return

    def _commit(self, connection: Connection, group: Sequence[Job[Any]]) -> None:
        """Run *group* in one transaction, or each alone where that fails; then tell them all."""
        begun = False
        with Caught() as caught, connection.begin():
            begun = True
            for job in group:
                job.run(Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False))
                self._ensure_transaction(connection)
        if caught.error is not None and begun and len(group) > 1:
            for job in group:
                self._commit(connection, [job])
            return
        for job in group:
            if caught.error is not None:
                job.fail(caught.error)
            job.tell(self._address)

    def _ensure_transaction(self, connection: Connection) -> None:
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        if not driver.in_transaction:
            raise TransactionLostError(f"the database {self._address.shown} gave a transaction up")


class PostgresPool:
    """A few threads with a connection each; every job is a transaction of its own."""

    def __init__(self, engine: Engine, address: Address, prepare: Callable[[Connection], None]) -> None:
        """Make the threads; ``opened`` is done when *prepare* returned, or failed."""
        self._engine, self._address, self._prepare = engine, address, prepare
        self._threads = ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="botkit-store")
        self.opened: Future[None] = Future()
        self.opened.set_running_or_notify_cancel()
        self._threads.submit(self._open)

    def submit(self, job: Job[Any]) -> None:
        """Take *job*; it will run and be told."""
        self._threads.submit(self._run, job)

    def close(self) -> None:
        """Finish what was submitted and close the connections.  Blocks."""
        self._threads.shutdown(wait=True)
        self._engine.dispose()

    def _open(self) -> None:
        with Caught() as caught, self._engine.connect() as connection:
            self._prepare(connection)
        if caught.error is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(_shown(caught.error, self._address))

    def _run(self, job: Job[Any]) -> None:
        job.run(Session(self._engine, expire_on_commit=False))
        job.tell(self._address)


def _shown(error: BaseException, address: Address) -> BaseException:
    """Return *error* as the caller may see it."""
    if not isinstance(error, SQLAlchemyError):
        return error
    translated = translate(error, address)
    translated.__cause__ = error
    return translated

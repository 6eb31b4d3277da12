"""Schemas go up and down with what is in them, on both databases, and newer ones are refused."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text
from store_samples import ROOM, TickingClock, message

from botkit.errors import StoreError, UnknownNameError
from botkit.store import migrate
from botkit.store.address import parse_address
from botkit.store.backup import backup
from botkit.store.connect import alone
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.seal import Sealer

ROOT = Path(__file__).parent.parent.parent

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade():
    with op.batch_alter_table("messages") as batch:
        batch.add_column(sa.Column("mood", sa.String(10), nullable=False, server_default="calm"))
        batch.alter_column("reply_to", new_column_name="answers_to")
    {more}


def downgrade():
    with op.batch_alter_table("messages") as batch:
        batch.drop_column("mood")
        batch.alter_column("answers_to", new_column_name="reply_to")
"""


@pytest.fixture
def add_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a schema of the future: revision 9999, which changes the table of the messages."""

    def add(more: str = "pass") -> None:
        folder = tmp_path / "future"
        shutil.copytree(ROOT / "migrations", folder, ignore=shutil.ignore_patterns("__pycache__"))
        script = NEXT.format(head=migrate._known()[0], more=more)
        (folder / "versions" / "9999_mood.py").write_text(script)
        monkeypatch.setattr(migrate, "scripts", lambda: folder)

    return add


async def say(url: str, folder: Path, *event_ids: str) -> list[str]:
    """Store messages, answer all but the last, and return what the conversation then says."""
    database = await Database.open(url, auto_migrate=False)
    store = ConversationStore(database, Sealer.open(folder, {}), TickingClock())
    for event_id in event_ids:
        stored = await store.append(message(event_id, f"text {event_id}"))
        if event_id != event_ids[-1]:
            await store.record(stored.message_id, outcome="answered", text=f"answer {event_id}")
    found = await store.conversation(ROOM)
    await database.aclose()
    return [turn.text for turn in found.turns] if found else []


def columns(url: str) -> set[str]:
    with alone(parse_address(url)) as connection:
        return {column["name"] for column in inspect(connection).get_columns("messages")}


async def test_a_new_database_gets_the_newest_schema(empty_url: str) -> None:
    await (await Database.open(empty_url)).aclose()

    found = migrate.current(empty_url)
    assert found.current == found.newest


def test_the_migrations_make_exactly_the_tables_of_the_code(empty_url: str) -> None:
    migrate.upgrade(empty_url)

    with alone(parse_address(empty_url)) as connection, connection.begin():
        command.check(migrate.config(connection))


def test_down_to_nothing_and_up_again(empty_url: str) -> None:
    newest = migrate.upgrade(empty_url).newest
    assert migrate.downgrade(empty_url, "base").newest == "base"
    with alone(parse_address(empty_url)) as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]

    assert migrate.upgrade(empty_url).current is None
    assert migrate.current(empty_url).current == newest


async def test_up_and_down_with_messages_in_it(
    empty_url: str, tmp_path: Path, add_revision: Callable[..., None]
) -> None:
    old = migrate.upgrade(empty_url).newest
    await say(empty_url, tmp_path, "e1", "e2")
    add_revision()

    assert migrate.upgrade(empty_url).current == old
    assert {"mood", "answers_to"} <= columns(empty_url)
    with alone(parse_address(empty_url)) as connection:
        assert connection.execute(text("SELECT count(*) FROM messages WHERE mood = 'calm'")).scalar() == 3

    assert migrate.downgrade(empty_url, "-1").newest == old
    assert "mood" not in columns(empty_url)
    found = migrate.current(empty_url)
    assert (found.current, found.newest) == (old, "9999")


async def test_messages_outlive_a_detour_over_a_newer_schema(
    empty_url: str, tmp_path: Path, add_revision: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(empty_url)
    said = await say(empty_url, tmp_path, "e1", "e2")
    with monkeypatch.context():
        add_revision()
        migrate.upgrade(empty_url)
        migrate.downgrade(empty_url, "-1")
    monkeypatch.undo()

    assert await say(empty_url, tmp_path, "e3") == [*said, "text e3"]
    database = await Database.open(empty_url)
    waiting = await ConversationStore(database, Sealer.open(tmp_path, {}), TickingClock()).open_messages()
    await database.aclose()
    assert [one.message.event_id for one in waiting] == ["e2", "e3"]


async def test_a_newer_schema_is_refused_and_both_are_named(
    empty_url: str, add_revision: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = migrate.upgrade(empty_url).newest
    add_revision()
    migrate.upgrade(empty_url)
    monkeypatch.undo()

    for attempt in (
        lambda: asyncio.run(Database.open(empty_url)),
        lambda: migrate.upgrade(empty_url),
        lambda: migrate.downgrade(empty_url, "base"),
    ):
        with pytest.raises(StoreError, match=f"has schema 9999, newer than {ours}"):
            await asyncio.to_thread(attempt)
    assert "mood" in columns(empty_url)


async def test_without_leave_no_schema_is_touched(empty_url: str) -> None:
    with pytest.raises(StoreError, match="has no tables yet") as caught:
        await Database.open(empty_url, auto_migrate=False)

    assert "botkit db upgrade" in caught.value.hint
    assert migrate.current(empty_url).current is None


async def test_a_migration_that_fails_changes_nothing(
    empty_url: str, tmp_path: Path, add_revision: Callable[..., None]
) -> None:
    old = migrate.upgrade(empty_url).newest
    said = await say(empty_url, tmp_path, "e1", "e2")
    add_revision(more='op.execute("SELECT * FROM nowhere")')

    with pytest.raises(StoreError, match="nowhere"):
        await Database.open(empty_url)

    assert migrate.current(empty_url).current == old
    assert "mood" not in columns(empty_url)
    assert len(said) == 3


async def test_a_copy_is_made_before_sqlite_is_changed(
    sqlite_url: str, tmp_path: Path, add_revision: Callable[..., None]
) -> None:
    old = migrate.upgrade(sqlite_url).newest
    await say(sqlite_url, tmp_path, "e1", "e2")
    assert not list(tmp_path.glob("*.bak"))
    add_revision()
    migrate.upgrade(sqlite_url)

    with closing(sqlite3.connect(tmp_path / f"botkit.db.schema-{old}.bak")) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [(old,)]
        assert copy.execute("SELECT count(*) FROM messages").fetchall() == [(3,)]


def test_two_processes_that_upgrade_at_once_do_it_once(empty_postgres: str) -> None:
    code = "import sys; from botkit.store import migrate; migrate.upgrade(sys.argv[1])"
    children = [
        subprocess.Popen([sys.executable, "-c", code, empty_postgres], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    assert [(child.communicate(timeout=60)[1], child.returncode) for child in children] == [("", 0)] * 2
    found = migrate.current(empty_postgres)
    assert found.current == found.newest


def test_an_unknown_revision_names_those_there_are(empty_url: str) -> None:
    migrate.upgrade(empty_url)

    with pytest.raises(UnknownNameError, match="unknown revision 'nonsense'"):
        migrate.downgrade(empty_url, "nonsense")


def test_there_is_nothing_to_downgrade_in_an_empty_database(empty_url: str) -> None:
    with pytest.raises(StoreError, match="nothing to downgrade"):
        migrate.downgrade(empty_url, "-1")


async def test_a_copy_and_the_revision_can_be_had_while_the_bot_runs(
    sqlite_url: str, tmp_path: Path, sealer: Sealer, clock: TickingClock
) -> None:
    database = await Database.open(sqlite_url)
    store = ConversationStore(database, sealer, clock)
    await store.append(message("e1", "before"))
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()

    n_bytes = await asyncio.to_thread(backup, sqlite_url, copy)
    found = await asyncio.to_thread(migrate.current, sqlite_url)
    await store.append(message("e2", "after"))
    await database.aclose()

    assert n_bytes == copy.stat().st_size
    assert found.current == found.newest
    assert [file.name for file in copy.parent.iterdir()] == ["copy.db"]
    restored = await Database.open(f"sqlite:///{copy}")
    talk = await ConversationStore(restored, sealer, clock).conversation(ROOM)
    await restored.aclose()
    assert talk is not None
    assert [turn.text for turn in talk.turns] == ["before"]


async def test_copies_are_never_overwritten_and_never_partial(sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        backup(sqlite_url, tmp_path / "copy.db")
    await (await Database.open(sqlite_url)).aclose()
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        backup(sqlite_url, tmp_path / "copy.db")
    with pytest.raises(StoreError, match="cannot write the copy"):
        backup(sqlite_url, tmp_path / "no" / "folder" / "copy.db")

    assert (tmp_path / "copy.db").read_text() == "precious"
    assert not list(tmp_path.glob("*.part"))


def test_postgres_is_copied_by_its_own_tool(postgres_server: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        backup(postgres_server, tmp_path / "copy")

    assert "pg_dump" in caught.value.hint


def test_what_has_no_database_has_no_revision(sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        migrate.current(sqlite_url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_wheel_brings_the_migrations(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(words, check=True, timeout=300)

    (wheel,) = tmp_path.glob("botkit-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    scripts = sorted(path.name for path in (ROOT / "migrations" / "versions").glob("*.py"))
    assert {f"botkit/_migrations/versions/{name}" for name in scripts} <= set(names)
    assert {"botkit/_migrations/env.py", "botkit/_migrations/script.py.mako"} <= set(names)

    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys; from botkit.store import migrate; print(migrate.scripts()); migrate.upgrade(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'w.db'}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "site" / "botkit" / "_migrations")

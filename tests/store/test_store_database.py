"""Transactions: whole or absent, told only when committed, and failing in one line."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from store_samples import TickingClock, message

from botkit.errors import ConfigError, StoreError
from botkit.store import connect
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.lock import FileLock
from botkit.store.seal import Sealer
from botkit.store.writer import GROUP_SIZE


def insert(event_id: int) -> Callable[[Session], int]:
    """Work that writes one row."""

    def work(session: Session) -> int:
        session.execute(
            text("INSERT INTO cursors VALUES ('p', :bot, 'x', '2026-01-01')"), {"bot": str(event_id)}
        )
        return event_id

    return work


def count(session: Session) -> int:
    found: int = session.execute(text("SELECT count(*) FROM cursors")).scalar_one()
    return found


def fail(session: Session) -> None:
    insert(-1)(session)
    raise RuntimeError("on purpose")


class Gate:
    """Work that holds the writer until it is opened, so that what is queued behind it forms a group."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, session: Session) -> None:
        self.entered.set()
        assert self.open.wait(30)


async def test_a_work_returns_its_result_and_is_committed(database: Database) -> None:
    assert await database.run(insert(7)) == 7
    assert await database.run(count) == 1


async def test_a_failing_work_rolls_back_and_raises_what_it_raised(database: Database) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        await database.run(fail)

    assert await database.run(count) == 0


async def test_of_many_works_only_the_failing_ones_roll_back(database: Database) -> None:
    works = [fail if n % 3 == 0 else insert(n) for n in range(30)]

    results = await asyncio.gather(*(database.run(work) for work in works), return_exceptions=True)

    assert [isinstance(result, RuntimeError) for result in results] == [n % 3 == 0 for n in range(30)]
    assert await database.run(count) == 20


async def test_works_that_wait_together_share_a_commit_and_are_told_after_it(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    gate = Gate()
    holding = asyncio.create_task(database.run(gate))
    await asyncio.to_thread(gate.entered.wait)
    tasks = [asyncio.create_task(database.run(insert(n))) for n in range(GROUP_SIZE)]
    await asyncio.sleep(0)  # each task hands its work in
    path = make_url(sqlite_url).database or ""
    told: list[int] = []
    commits: list[list[int]] = []
    for task in tasks:
        task.add_done_callback(lambda done: told.append(done.result()))

    @event.listens_for(database._runner._engine, "commit")
    def about_to_commit(_connection: object) -> None:
        with sqlite3.connect(path) as reader:
            (seen,) = reader.execute("SELECT count(*) FROM cursors").fetchone()
        reader.close()
        commits.append([seen, len(told)])

    gate.open.set()
    await asyncio.gather(holding, *tasks)
    await database.aclose()

    assert commits == [[0, 0], [0, 0]]  # the gate's, and one for all the others: before it, nobody was told
    assert sorted(told) == list(range(GROUP_SIZE))


async def test_a_burst_needs_few_commits(sqlite_url: str, sealer: Sealer, clock: TickingClock) -> None:
    database = await Database.open(sqlite_url)
    store = ConversationStore(database, sealer, clock)
    commits: list[None] = []
    event.listen(database._runner._engine, "commit", lambda _: commits.append(None))

    stored = await asyncio.gather(*(store.append(message(f"e{n}")) for n in range(200)))
    await database.aclose()

    assert len({one.message_id for one in stored}) == 200
    assert len(commits) <= 200 / GROUP_SIZE + 4


async def test_cancelling_the_caller_at_any_await_tears_nothing(
    url: str, sealer: Sealer, clock: TickingClock
) -> None:
    database = await Database.open(url)
    store = ConversationStore(database, sealer, clock)
    n_cancelled = 0
    for n in range(40):
        stored = await store.append(message(f"a{n}"))
        for step in (
            store.append(message(f"b{n}")),
            store.record(stored.message_id, outcome="answered", text="x"),
        ):
            task = asyncio.create_task(step)
            for _ in range(n % 8):
                await asyncio.sleep(0)
            task.cancel()
            n_cancelled += isinstance(
                (await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError
            )
    await database.aclose()  # carries out what was handed in

    database = await Database.open(url)
    rows = await database.run(
        lambda session: session.execute(
            text(
                "SELECT m.event_id, m.state, (SELECT count(*) FROM messages a WHERE a.parent_id = m.id) AS n"
                " FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE m.role = 'user'"
            )
        ).all()
    )
    await database.aclose()
    assert n_cancelled > 20
    assert {row.event_id for row in rows} >= {f"a{n}" for n in range(40)}
    assert all((row.state, row.n) in {("answered", 1), ("open", 0)} for row in rows)


async def test_what_was_handed_in_is_carried_out_before_closing(url: str) -> None:
    database = await Database.open(url)
    tasks = [asyncio.create_task(database.run(insert(n))) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(database.aclose(), database.aclose())

    assert await asyncio.gather(*tasks) == list(range(50))
    with pytest.raises(StoreError, match="has been closed"):
        await database.run(count)


async def test_a_cancelled_closing_still_closes(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    gate = Gate()
    holding = asyncio.create_task(database.run(gate))
    await asyncio.to_thread(gate.entered.wait)
    closing = asyncio.create_task(database.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    gate.open.set()
    await holding
    await database.aclose()

    await (await Database.open(sqlite_url)).aclose()


async def test_foreign_errors_are_one_line_without_values(database: Database) -> None:
    with pytest.raises(StoreError) as caught:
        await database.run(lambda s: s.execute(text("SELECT :secret FROM nowhere"), {"secret": "hunter2"}))

    assert "nowhere" in caught.value.line()
    assert "hunter2" not in caught.value.line() + str(caught.value.__cause__)
    assert "\n" not in caught.value.line()


async def test_a_second_process_on_one_sqlite_file_is_refused(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
        await Database.open(sqlite_url)
    await database.aclose()

    await (await Database.open(sqlite_url)).aclose()


async def test_a_lock_left_by_a_killed_process_is_taken_over_and_the_file_is_checked(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await Database.open(sqlite_url)).aclose()
    checked: list[str] = []
    monkeypatch.setattr(
        "botkit.store.database.check_integrity", lambda _, address: checked.append(address.shown)
    )
    await (await Database.open(sqlite_url)).aclose()
    assert checked == []
    (tmp_path / "botkit.db.lock").write_text("4194304")

    await (await Database.open(sqlite_url)).aclose()

    assert checked == [str(tmp_path / "botkit.db")]


async def test_a_damaged_file_is_one_line(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "botkit.db"
    await (await Database.open(sqlite_url)).aclose()
    content = bytearray(file.read_bytes())
    content[4096 * 2 : 4096 * 5] = b"\xff" * (4096 * 3)
    file.write_bytes(content)
    (tmp_path / "botkit.db.lock").write_text("4194304")

    for _ in range(2):  # the mark of the unclean stop stays until the file is sound
        with pytest.raises(StoreError, match="is damaged"):
            await Database.open(sqlite_url)

    file.write_bytes(b"this is no database, it is a shopping list" * 100)
    with pytest.raises(StoreError, match="is not a database file"):
        await Database.open(sqlite_url)


async def test_a_file_locked_by_a_foreign_program_is_one_line(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "_PRAGMAS", ("PRAGMA busy_timeout=20", *connect._PRAGMAS[1:]))
    database = await Database.open(sqlite_url)
    foreign = sqlite3.connect(tmp_path / "botkit.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")

    results = await asyncio.gather(*(database.run(insert(n)) for n in range(3)), return_exceptions=True)
    assert [str(error) for error in results] == [f"the database {tmp_path / 'botkit.db'} is locked"] * 3

    foreign.execute("ROLLBACK")
    foreign.close()
    assert await database.run(insert(3)) == 3
    await database.aclose()


async def test_on_a_full_disk_what_fits_is_stored_and_what_does_not_is_one_line(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)

    def limit(session: Session) -> None:
        n_pages = session.execute(text("PRAGMA page_count")).scalar_one()
        session.execute(text(f"PRAGMA max_page_count={n_pages + 8}"))

    def huge(session: Session) -> None:
        session.execute(
            text("INSERT INTO cursors VALUES ('p', 'huge', :x, '2026-01-01')"), {"x": "x" * 10**6}
        )

    await database.run(limit)
    gate = Gate()
    holding = asyncio.create_task(database.run(gate))
    await asyncio.to_thread(gate.entered.wait)
    works = [insert(1), insert(2), huge, insert(3), huge, insert(4)]
    tasks = [asyncio.create_task(database.run(work)) for work in works]
    await asyncio.sleep(0)
    gate.open.set()
    results = await asyncio.gather(holding, *tasks, return_exceptions=True)

    errors = [result for result in results if isinstance(result, BaseException)]
    assert len(errors) == 2
    assert all(isinstance(error, StoreError) and "disk is full" in error.line() for error in errors)
    assert [result for result in results if isinstance(result, int)] == [1, 2, 3, 4]
    assert await database.run(count) == 4
    await database.aclose()


async def test_a_full_disk_fails_the_check(sqlite_url: str, sealer: Sealer, clock: TickingClock) -> None:
    database = await Database.open(sqlite_url)

    def read_only(session: Session) -> None:
        session.execute(text("PRAGMA query_only=ON"))

    await database.run(read_only)
    with pytest.raises(StoreError, match="read-only"):
        await ConversationStore(database, sealer, clock).check()
    await database.aclose()


async def test_a_folder_that_cannot_be_written_is_one_line() -> None:
    # sysfs lets nobody make files, not even root
    with pytest.raises(
        StoreError, match=r"cannot write in the folder /sys/kernel: Permission denied"
    ) as caught:
        await Database.open("sqlite:////sys/kernel/botkit.db")

    assert "--data" in caught.value.hint


async def test_files_are_for_their_owner_alone(sqlite_url: str, tmp_path: Path) -> None:
    database = await Database.open(sqlite_url)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    await database.aclose()

    assert {"botkit.db", "botkit.db-wal", "botkit.db.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


async def test_sqlite_is_set_to_survive_a_power_cut(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url)

    def read(session: Session) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [session.execute(text(f"PRAGMA {name}")).scalar() for name in names]

    assert await database.run(read) == ["wal", 2, 1, 5000]
    await database.aclose()


async def test_a_database_in_memory_works_and_leaves_no_file(tmp_path: Path) -> None:
    database = await Database.open("sqlite://")
    assert await database.run(insert(1)) == 1
    await database.aclose()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", ["", "nonsense", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:port/d"])
async def test_a_url_of_no_use_is_one_line_without_its_password(bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await Database.open(bad)

    assert "database.url" in caught.value.line()
    assert "hunter2" not in caught.value.line()


async def test_a_server_that_is_not_there_is_one_line(unused_tcp_port: int) -> None:
    with pytest.raises(StoreError) as caught:
        await Database.open(f"postgresql://anna:hunter2@127.0.0.1:{unused_tcp_port}/chat")

    assert (
        str(caught.value)
        == f"the database postgresql://127.0.0.1:{unused_tcp_port}/chat refused the connection"
    )
    assert "hunter2" not in repr(caught.value.__cause__)


async def test_a_server_without_our_database_is_one_line(postgres_server: str) -> None:
    url = make_url(postgres_server).set(database="no_such_chat").render_as_string(hide_password=False)

    with pytest.raises(StoreError, match="/no_such_chat does not exist") as caught:
        await Database.open(url)

    assert "createdb" in caught.value.hint


async def test_a_read_only_server_is_one_line(make_postgres: Callable[[], str]) -> None:
    url = f"{make_postgres()}&options=-c%20default_transaction_read_only%3Don"
    database = await Database.open(url)

    with pytest.raises(StoreError, match="is read-only"):
        await database.run(insert(1))
    await database.aclose()


def test_a_lock_says_whether_the_last_owner_stopped_cleanly(tmp_path: Path) -> None:
    first = FileLock(tmp_path / "x.db")
    assert not first.was_unclean
    first.release(clean=False)
    second = FileLock(tmp_path / "x.db")
    assert second.was_unclean
    second.release()
    third = FileLock(tmp_path / "x.db")
    assert not third.was_unclean
    third.release()

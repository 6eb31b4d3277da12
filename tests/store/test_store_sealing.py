"""Nothing that people wrote can be read, moved or changed without the key."""

from __future__ import annotations

import base64
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from store_samples import ANNA, ROOM, TickingClock, message

from botkit.errors import ConfigError, StoreError
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.seal import KEY_FILE, KeyGoneError, PersonKey, Sealer

CANARY = "the canary sings at dawn"
KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(32)).decode()
PLACE = ("messages", "text", 1, "event", "e1")


@given(st.text(st.characters(), max_size=200), st.tuples(st.text(), st.text()))
def test_any_text_comes_back_at_its_place(plain: str, place: tuple[str, str]) -> None:
    key = PersonKey(7, bytes(32))

    assert key.open(key.seal(plain, place), place) == plain


def test_the_same_text_is_sealed_differently_each_time() -> None:
    key = PersonKey(7, bytes(32))

    assert key.seal("x", PLACE) != key.seal("x", PLACE)


@pytest.mark.parametrize(
    "other",
    [
        ("messages", "text", 2, "event", "e1"),
        ("messages", "text", 1, "event", "e2"),
        ("messages", "name", 1, "event", "e1"),
        ("messages", "text", 1, "evente", "1"),
    ],
)
def test_a_value_opens_at_no_other_place(other: tuple[str | int, ...]) -> None:
    key = PersonKey(7, bytes(32))

    with pytest.raises(StoreError, match="changed or moved"):
        key.open(key.seal("x", PLACE), other)


def test_every_changed_bit_is_noticed() -> None:
    key = PersonKey(7, bytes(32))
    sealed = key.seal("x", PLACE)
    for n in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[n // 8] ^= 1 << n % 8
        with pytest.raises((StoreError, KeyGoneError)):
            key.open(bytes(changed), PLACE)
    for n in range(len(sealed)):
        with pytest.raises(StoreError):
            key.open(sealed[:n], PLACE)


def test_a_new_key_opens_nothing_of_the_old_one() -> None:
    with pytest.raises(KeyGoneError):
        PersonKey(8, bytes(32)).open(PersonKey(7, bytes(32)).seal("x", PLACE), PLACE)


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    first = Sealer.open(tmp_path / "new", {})
    content = (tmp_path / "new" / KEY_FILE).read_bytes()
    second = Sealer.open(tmp_path / "new", {})

    assert stat.S_IMODE((tmp_path / "new" / KEY_FILE).stat().st_mode) == 0o600
    assert (tmp_path / "new" / KEY_FILE).read_bytes() == content
    assert [file.name for file in (tmp_path / "new").iterdir()] == [KEY_FILE]
    assert second.person_key(1, first.new_key("a:1"), "a:1").id == 1


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    Sealer.open(tmp_path, {"BOTKIT_KEY": KEY})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", ["nonsense", KEY[:-8], KEY + " x", "ä"])
def test_a_malformed_key_is_one_line_without_the_key(tmp_path: Path, bad: str) -> None:
    (tmp_path / KEY_FILE).write_text(bad, encoding="utf-8")
    for environment in ({"BOTKIT_KEY": bad}, {}):
        with pytest.raises(ConfigError) as caught:
            Sealer.open(tmp_path, environment)
        assert bad not in caught.value.line()


def test_an_empty_key_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("")

    with pytest.raises(ConfigError, match="is empty"):
        Sealer.open(tmp_path, {})
    assert (tmp_path / KEY_FILE).read_text() == ""


def test_an_older_key_still_opens_after_a_newer_one_was_put_before_it(tmp_path: Path) -> None:
    wrapped = Sealer.open(tmp_path, {"BOTKIT_KEY": KEY}).new_key("a:1")
    both = Sealer.open(tmp_path, {"BOTKIT_KEY": f"{OTHER_KEY} {KEY}"})

    assert both.person_key(1, wrapped, "a:1").id == 1
    newest = Sealer.open(tmp_path, {"BOTKIT_KEY": OTHER_KEY})
    assert newest.person_key(2, both.new_key("a:1"), "a:1").id == 2


def test_a_key_of_one_person_is_none_of_another(tmp_path: Path) -> None:
    sealer = Sealer.open(tmp_path, {})

    with pytest.raises(StoreError, match="person_keys"):
        sealer.person_key(1, sealer.new_key("a:1"), "a:2")


async def test_a_key_folder_that_cannot_be_written_is_one_line() -> None:
    with pytest.raises(StoreError, match=r"secret\.key cannot be used: Permission denied"):
        Sealer.open(Path("/sys/kernel"), {})


async def test_no_file_holds_a_readable_word(
    sqlite_url: str, tmp_path: Path, sealer: Sealer, clock: TickingClock
) -> None:
    database = await Database.open(sqlite_url)
    store = ConversationStore(database, sealer, clock)
    stored = await store.append(message("e1", CANARY))
    await store.record(stored.message_id, outcome="answered", text=CANARY)
    running = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    await database.aclose()
    stopped = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert b"room" in running  # ids can be read
    for content in (running, stopped):
        assert CANARY.encode() not in content
        assert ANNA.name.encode() not in content


async def test_texts_swapped_between_rows_do_not_open(store: ConversationStore, database: Database) -> None:
    for n in range(2):
        await store.append(message(f"e{n}", f"text {n}"))
    await database.run(
        lambda session: session.execute(
            text("UPDATE messages SET text = (SELECT o.text FROM messages o WHERE o.id <> messages.id)")
        )
    )

    with pytest.raises(StoreError, match="changed or moved"):
        await store.conversation(ROOM)


async def test_another_master_key_is_one_clear_line(
    store: ConversationStore, database: Database, clock: TickingClock, tmp_path: Path
) -> None:
    await store.append(message("e1"))
    stranger = ConversationStore(database, Sealer.open(tmp_path, {"BOTKIT_KEY": KEY}), clock)

    for asking in (stranger.check(), stranger.append(message("e2")), stranger.open_messages()):
        with pytest.raises(StoreError, match="sealed with another key than the one in BOTKIT_KEY") as caught:
            await asking
        assert KEY_FILE in caught.value.hint
    assert [one.message.event_id for one in await store.open_messages()] == ["e1"]


async def test_a_forgotten_key_is_wiped_from_the_file(
    sqlite_url: str, tmp_path: Path, sealer: Sealer, clock: TickingClock
) -> None:
    from botkit.store.people import forget_key

    database = await Database.open(sqlite_url)
    await ConversationStore(database, sealer, clock).append(message("e1"))
    with sqlite3.connect(tmp_path / "botkit.db") as reader:
        ((wrapped,),) = reader.execute("SELECT wrapped FROM person_keys").fetchall()
    reader.close()
    await database.run(lambda session: forget_key(session, ANNA.platform, ANNA.id))
    await database.aclose()

    assert not any(wrapped in file.read_bytes() for file in tmp_path.iterdir())

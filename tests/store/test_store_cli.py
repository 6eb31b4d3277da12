"""`botkit db` as a person or a script calls it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from botkit.cli.context import Context
from botkit.cli.db import app
from botkit.errors import BotkitError
from botkit.store import migrate


def run(folder: Path, *words: str, as_json: bool = False, url: str = "") -> str:
    written = StringIO()
    context = Context(
        folder, overrides=[f"database.url={url}"], json=as_json, console=Console(file=written, width=40)
    )
    result = CliRunner().invoke(app, list(words), obj=context)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return written.getvalue()


@pytest.fixture
def newest(tmp_path: Path) -> str:
    return migrate._known()[0]


def test_upgrade_says_what_it_did(tmp_path: Path, newest: str) -> None:
    assert run(tmp_path, "upgrade") == f"upgraded the schema from no tables to {newest}\n"
    assert run(tmp_path, "upgrade") == f"the schema is {newest} already\n"
    assert (tmp_path / "botkit.db").exists()


def test_current_names_what_is_there_and_what_is_wanted(tmp_path: Path, newest: str) -> None:
    run(tmp_path, "upgrade")

    assert run(tmp_path, "current") == f"{newest} (up to date)\n"
    assert json.loads(run(tmp_path, "current", as_json=True)) == {"current": newest, "newest": newest}


def test_downgrade_takes_a_revision(tmp_path: Path, newest: str) -> None:
    run(tmp_path, "upgrade")

    assert run(tmp_path, "downgrade", "base") == f"took the schema back from {newest} to base\n"
    assert run(tmp_path, "current") == f"no tables (this botkit wants {newest})\n"


@pytest.mark.parametrize("words", [["downgrade"], ["downgrade", "-1"]])
def test_downgrade_goes_one_step_unless_told(tmp_path: Path, newest: str, words: list[str]) -> None:
    run(tmp_path, "upgrade")

    assert run(tmp_path, *words).startswith(f"took the schema back from {newest} to")


def test_backup_writes_a_copy(tmp_path: Path) -> None:
    run(tmp_path, "upgrade")
    told = json.loads(run(tmp_path, "backup", str(tmp_path / "copy.db"), as_json=True))

    assert told == {"file": str(tmp_path / "copy.db"), "bytes": (tmp_path / "copy.db").stat().st_size}


def test_failures_are_botkit_errors(tmp_path: Path) -> None:
    for words in (["current"], ["backup", str(tmp_path / "copy.db")]):
        with pytest.raises(BotkitError, match="there is no database"):
            run(tmp_path, *words)
    with pytest.raises(BotkitError, match=r"database\.url"):
        run(tmp_path, "upgrade", url="nonsense")


def test_the_commands_work_on_postgres(empty_postgres: str, tmp_path: Path, newest: str) -> None:
    run(tmp_path, "upgrade", url=empty_postgres)

    assert run(tmp_path, "current", url=empty_postgres) == f"{newest} (up to date)\n"
    assert list(tmp_path.iterdir()) == []

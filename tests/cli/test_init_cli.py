"""`botkit init` as a person or a script calls it."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from botkit.cli.main import main
from botkit.config import example, load_settings


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BOTKIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "botkit"


def test_it_writes_every_key_as_a_comment_for_the_owner_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", "--yes", "--data", folder) == 0

    path = folder / "config.toml"
    assert path.read_text() == example()
    assert tomllib.loads(path.read_text())["web"] == {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert capsys.readouterr().out == f"wrote {path}; 'botkit run' starts the bot\n"


def test_the_folder_of_the_environment_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTKIT_DATA", str(folder))

    assert run("init", "--yes") == 0

    assert (folder / "config.toml").exists()


def test_a_second_time_changes_nothing_and_is_no_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("init", "--yes", "--data", folder)
    before = (folder / "config.toml").stat()
    capsys.readouterr()

    assert run("init", "--yes", "--json", "--data", folder) == 0

    assert json.loads(capsys.readouterr().out) == {"file": str(folder / "config.toml"), "written": False}
    assert (folder / "config.toml").stat() == before


@pytest.mark.parametrize("text", ["model = 'mine'\n", "broken ["])
def test_another_file_is_never_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    folder.mkdir(parents=True)
    path = folder / "config.toml"
    path.write_text(text)

    assert run("init", "--yes", "--data", folder) == 1

    assert path.read_text() == text
    assert capsys.readouterr().err == f"botkit: {path} exists already (edit it, or move it away first)\n"


def test_what_is_set_is_no_comment_and_keeps_its_place(folder: Path) -> None:
    words = [
        "web.port=9000",
        'chat.persona=Say "no"',
        "model=echo",
        "plugins.disabled=a,b",
        "web.api_key=k3y4",
    ]
    overrides = [part for word in words for part in ("--set", word)]

    assert run("init", "--yes", "--data", folder, *overrides) == 0

    settings = load_settings(folder)
    assert (settings.web.port, settings.model, settings.chat.persona) == (9000, "echo", 'Say "no"')
    assert settings.plugins.disabled == ("a", "b")
    written = (folder / "config.toml").read_text().splitlines()
    plain = example().splitlines()
    assert len(written) == len(plain)
    changed = [new for new, old in zip(written, plain, strict=True) if new != old]
    assert "port = 9000" in changed
    assert len(changed) == len(words)


def test_a_platforms_table_is_written_too(folder: Path) -> None:
    assert run("init", "--yes", "--data", folder, "--set", "adapters.discord.token=t0ken") == 0

    assert load_settings(folder).adapters == {"discord": {"token": "t0ken"}}


def test_a_value_that_cannot_be_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", "--yes", "--data", folder, "--set", "web.prot=1") == 2

    assert "web.port" in capsys.readouterr().err
    assert not folder.exists()


def test_a_terminal_is_asked_and_enter_takes_the_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard("echo\n\nYou are a parrot.\n"))

    assert run("init", "--data", folder) == 0

    written = tomllib.loads((folder / "config.toml").read_text())
    assert written["model"] == "echo"
    assert written["web"] == {}
    assert written["chat"] == {"persona": "You are a parrot."}
    assert "[8080]" in capsys.readouterr().out


def test_an_answer_that_cannot_be_is_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard("\nhigh\n70000\n8081\n\n"))

    assert run("init", "--data", folder) == 0

    assert load_settings(folder).web.port == 8081
    assert capsys.readouterr().err.count("web.port in --set") == 2


def test_leaving_in_the_middle_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard("echo\n"))

    assert run("init", "--data", folder) != 0

    assert not folder.exists()


def test_nothing_is_asked_where_nobody_can_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    assert run("init", "--data", folder) == 0


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()

    assert run("init", "--yes", "--data", tmp_path / "file" / "state") == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"botkit: cannot write {tmp_path}/file/state/config.toml: Not a directory (")


def test_a_read_only_folder_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir(parents=True)
    real_open = os.open

    def refuse(path: object, *args: int, **options: int) -> int:
        if str(path).startswith(str(folder)):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *args, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "open", refuse)  # the mode of a folder does not stop root

    assert run("init", "--yes", "--data", folder) == 1
    assert "config.toml: Permission denied (make the folder writable" in capsys.readouterr().err


def test_a_disk_that_is_full_leaves_no_half_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, *args: object, **options: object) -> io.StringIO:
        os.close(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)

    assert run("init", "--yes", "--data", folder) == 1
    assert not (folder / "config.toml").exists()

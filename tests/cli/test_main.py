"""The command line itself: its options, its help, and how it says that something is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from botkit_process import Place, complaint

from botkit import __version__
from botkit.cli import main as command_line
from botkit.cli.main import COMMANDS, main
from botkit.errors import BotkitError, ModelError


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("BOTKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BOTKIT_DATA", str(tmp_path / "unused"))


def line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on standard error; nothing may be on standard output."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (only,) = captured.err.splitlines()
    assert only.startswith("botkit: ")
    return only.removeprefix("botkit: ")


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_the_help_names_every_command(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(word) == 0

    captured = capsys.readouterr()
    assert captured.err == ""
    for name in COMMANDS:
        assert re.search(rf"^\W*{name} ", captured.out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_the_options_of_all(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "-h") == 0

    assert "Usage: " in capsys.readouterr().out


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in ("models", "db", "plugins")])
def test_every_command_takes_the_options_of_all(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(command, "--help")

    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--data", "--config", "--set", "--json"))


def test_no_word_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "Usage: " in "".join(capsys.readouterr())


def test_the_version_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--data", "{0}", "--json", "--set", "model=echo", "models", "list"),
        ("models", "--data", "{0}", "--json", "--set", "model=echo", "list"),
        ("models", "list", "--data", "{0}", "--json", "--set", "model=echo"),
        ("--data", "elsewhere", "--json", "models", "list", "--data", "{0}"),
    ],
)
def test_the_options_of_all_stand_before_and_after_the_command(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "weights.safetensors").touch()

    assert run(*(word.format(tmp_path) for word in words)) == 0

    assert "mine" in str(json.loads(capsys.readouterr().out))


def test_overrides_from_both_sides_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--set", "web.port=x", "doctor", "--set", "web.port=y", "--set", "web.host=z") == 2
    assert line(capsys) == (
        "web.port in --set: input should be a valid integer, unable to parse string as an integer"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("rnu",), "Did you mean 'run'?"),
        (("modles", "list"), "Did you mean 'models'?"),
        (("models", "lsit"), "Did you mean 'list'?"),
        (("--dta", "x", "run"), "--data"),
        (("run", "--modle", "x"), "--model"),
        (("chat", "--onec", "x"), "--once"),
        (("run", "x"), "unexpected extra argument"),
        (("chat", "--once"), "requires an argument"),
        (("chat", "--max-tokens", "many"), "--max-tokens"),
        (("chat", "--max-tokens", "0", "--once", "x"), "sampling.max_tokens"),
        (("chat", "--temperature", "-1", "--once", "x"), "sampling.temperature"),
        (("serve", "--port", "99999"), "web.port"),
        (("run", "--set", "web.prot=1"), "did you mean 'web.port'?"),
        (("chat", "--model", "ecko", "--once", "x"), "did you mean 'echo'?"),
        (("run", "--model", "smollm2-135m"), "did you mean 'smollm2-135m-instruct'?"),
    ],
)
def test_a_wrong_word_is_one_line_and_misuse(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2

    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("botkit: ")
    assert expected in captured.err


def test_what_is_said_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "show", "a\x1b[2J\x07\udcff[red]b") == 2

    assert r"'a\x1b[2J\x07\udcff[red]b'" in line(capsys)


@pytest.mark.parametrize(("error", "status"), [(BotkitError("a\nb", hint="c"), 1), (ModelError("a b"), 1)])
def test_a_foreseen_failure_is_one_line(
    error: BotkitError, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(command_line, "build", lambda: fail)

    assert run("x") == status
    assert line(capsys) == error.line()


def test_ctrl_c_ends_with_130_and_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "build", lambda: interrupt)

    assert run("x") == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_has_enough_is_no_failure_to_speak_of(tmp_path: Path) -> None:
    place = Place(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` does, sooner or later

    done = subprocess.run(
        [sys.executable, "-m", "botkit", "--help"],
        stdout=writer, stderr=subprocess.PIPE, cwd=place.cwd, env=place.environment(), check=False,
    )  # fmt: skip
    os.close(writer)

    assert (done.returncode, done.stderr) == (1, b"")


def test_a_terminal_without_our_letters_gets_others_instead(tmp_path: Path) -> None:
    place = Place(tmp_path)
    name = "größe".encode()

    done = subprocess.run(
        [sys.executable, "-m", "botkit", "init", "--yes", "--data", place.cwd / os.fsdecode(name)],
        capture_output=True, cwd=place.cwd, env=place.environment(PYTHONIOENCODING="ascii"), check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert b"gr??e/config.toml" in done.stdout


def test_bytes_that_are_no_text_are_shown_escaped(tmp_path: Path) -> None:
    done = Place(tmp_path).botkit(b"run", b"--model", b"a\xffb")

    assert complaint(done, 2).startswith(r"model in --set has control characters or is not valid UTF-8")

"""`botkit run` and `botkit serve` as the operator knows them: one process, from its start to its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from botkit_process import SLOW_PLUGIN, Place, Running, install_plugin, listing, stored

from botkit import __version__, log
from botkit.cli.main import main
from botkit.store.lock import FileLock


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def slow(place: Place) -> Place:
    """A place with the model ``slow``, which needs five seconds for its hundred words."""
    install_plugin(place.plugins, "slow", SLOW_PLUGIN)
    return place


def test_a_bot_from_its_start_to_its_end(place: Place) -> None:
    with place.running("--model", "echo") as bot:
        bot.wait_until("web")
        assert bot.get("/livez")[0] == 200
        assert json.loads(bot.get("/readyz")[1]) == {"ready": True, "missing": {}}
        assert b"botkit_" in bot.get("/metrics")[1]
        status, answer = bot.ask("hello you", model="echo")
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello you")
        assert bot.get("/")[0] == 200

        code, seconds = bot.stop(signal.SIGTERM)

    assert code == 0
    assert seconds < 10
    assert "Traceback" not in bot.log
    assert listing(place.home, place.cwd) == []
    kept = {path.name for path in place.data.iterdir()}
    assert kept == {"botkit.db", "botkit.db.lock", "secret.key", "web.key"}


def test_the_lines_that_a_program_reads(place: Place) -> None:
    with place.running("--model", "echo") as bot:
        bot.wait_until("web")
        bot.stop(signal.SIGINT)

    assert bot.events[0] == {
        "event": "starting", "version": __version__, "model": "echo", "data_dir": str(place.data)
    }  # fmt: skip
    later = sorted(bot.events[1:], key=str)
    assert [one["event"] for one in later] == ["ready", "ready"]
    assert {"event": "ready", "model": "echo", "detail": ""} in later
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", bot.url)
    assert bot.process.returncode == 0


class InProcess:
    """A bot that does not start, in this process: what it printed, and its status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], data: Path) -> None:
        self._capsys, self.data = capsys, data
        self.out = ""

    def __call__(self, command: str, *words: str, status: int = 1) -> str:
        """Return the one line on standard error, log events aside."""
        with pytest.raises(SystemExit) as ended:
            main([command, "--data", str(self.data), "--set", "web.port=0", *words])
        self.out, errors = self._capsys.readouterr()
        lines = [line for line in errors.splitlines() if not line.startswith("{")]
        assert ended.value.code == status, errors
        assert len(lines) == 1, errors
        assert "Traceback" not in errors
        assert lines[0].startswith("botkit: ")
        return lines[0].removeprefix("botkit: ")


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[InProcess]:
    for name in [name for name in os.environ if name.startswith("BOTKIT_")]:
        monkeypatch.delenv(name)
    yield InProcess(capsys, tmp_path / "data")
    log.reset()


BOTH = pytest.mark.parametrize("command", ["run", "serve"])


@BOTH
def test_a_port_that_is_taken_is_one_line(refused: InProcess, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(command, "--model", "echo", "--set", f"web.port={port}")

    assert line.startswith(f"cannot listen on 127.0.0.1 port {port}: Address already in use (")
    assert not (FileLock(refused.data / "botkit.db")).release()


@BOTH
@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("--set", "web.host=203.0.113.7", "--set", "web.api_key=0123456789"), 1, "cannot listen on 203.0"),
        (("--set", "web.host=0.0.0.0"), 2, "web.api_key must be set"),
        (("--set", "web.host="), 2, "web.api_key must be set"),
        (("--set", "plugins.disabled=web"), 2, "there is nothing to run"),
        (("--set", "plugins.disabled=wbe"), 2, "unknown plugin 'wbe' (did you mean 'web'?)"),
        (("--set", "adapters.discrod.token=x"), 2, "unknown adapter 'discrod' in the settings"),
        (("--set", "web.api_key_file=/nowhere"), 2, "web.api_key_file /nowhere cannot be read"),
        (
            ("--model", "smollm2-135m-instruct"),
            2,
            "(bring it with: botkit models pull smollm2-135m-instruct)",
        ),
        (("--model", "../../etc"), 2, "unknown model '../../etc'"),
    ],
)
def test_what_cannot_run_is_one_line(
    refused: InProcess, command: str, words: tuple[str, ...], status: int, expected: str
) -> None:
    assert expected in refused(command, "--model", "echo", *words, status=status)


@BOTH
@pytest.mark.parametrize("below", ["", "below"])
def test_a_data_folder_that_cannot_be_is_one_line(refused: InProcess, command: str, below: str) -> None:
    refused.data.touch()
    refused.data /= below

    line = refused(command, "--model", "echo")

    assert line.startswith(f"cannot make the data folder {refused.data}: ")
    assert "--data" in line


@BOTH
def test_broken_settings_are_one_line(refused: InProcess, command: str) -> None:
    refused.data.mkdir()
    (refused.data / "config.toml").write_text("model = [")

    assert "config.toml is not valid TOML: " in refused(command, status=2)


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xaa" * 4096
    path.write_bytes(content)
    path.with_name("botkit.db.lock").write_text("1")  # the mark of a process that was killed


def overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 1000)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10_000])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (make_newer, "newer"),
        (damage, "is damaged"),
        (overwrite, "is not a database file"),
        (cut_short, "is damaged"),
        (replace_by_folder, "cannot be"),
    ],
)
def test_a_database_of_no_use_is_one_line_and_stays_as_it_is(
    refused: InProcess, spoil: object, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["chat", "--data", str(refused.data), "--model", "echo", "--once", "hello"])
    path = refused.data / "botkit.db"
    spoil(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else b""
    capsys.readouterr()

    line = refused("run", "--model", "echo")

    assert str(path) in line
    assert expected in line
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_database_in_use_is_one_line(refused: InProcess) -> None:
    refused.data.mkdir()
    lock = FileLock(refused.data / "botkit.db")
    try:
        assert "is in use by process" in refused("run", "--model", "echo")
    finally:
        lock.release()


def test_a_malformed_key_is_one_line(refused: InProcess) -> None:
    refused.data.mkdir()
    (refused.data / "secret.key").write_text("nonsense")

    assert "secret.key" in refused("run", "--model", "echo", status=2)


@pytest.fixture
def unwritable(refused: InProcess) -> Iterator[Path]:
    """The data folder, with a database in it, which this process may only read."""
    # Both commands import all they need before this process is somebody who may not read the modules.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused("run", "--model", "echo", "--set", f"web.port={taken.getsockname()[1]}")
    with pytest.raises(SystemExit):
        main(["chat", "--data", str(refused.data), "--model", "echo", "--once", "before"])
    closed = [path for path in refused.data.parents if not path.stat().st_mode & 0o001]
    kept = [*refused.data.iterdir(), refused.data]
    modes = {path: path.stat().st_mode for path in (*closed, *kept)}
    for path in kept:
        path.chmod(0o555 if path.is_dir() else 0o444)
    is_root = os.getuid() == 0
    if is_root:  # whom no mode stops
        for path in closed:
            path.chmod(modes[path] | 0o011)
        os.seteuid(65534)
    yield refused.data
    if is_root:
        os.seteuid(0)
    for path, mode in modes.items():
        path.chmod(mode)


@pytest.mark.parametrize("command", ["run", "chat"])
def test_a_folder_that_may_only_be_read_is_one_line(
    refused: InProcess, unwritable: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    words = ("--once", "hi") if command == "chat" else ()

    line = refused(command, "--model", "echo", *words)

    assert str(unwritable) in line
    assert "Permission denied" in line


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_an_answer_ends_it_well(slow: Place, number: signal.Signals) -> None:
    with slow.running("--model", "slow") as bot, asking(bot, "go") as answering:
        code, seconds = bot.stop(number)
        answering.join()

    assert code == 0
    assert seconds < 10
    assert "Traceback" not in bot.log


@pytest.mark.slow
def test_a_signal_in_the_middle_of_a_real_answer_ends_it_well(place: Place, default_model: Path) -> None:
    (place.data / "models").mkdir(parents=True)
    (place.data / "models" / default_model.name).symlink_to(default_model)
    with place.running("--model", default_model.name) as bot, asking(bot, "Tell a long story."):
        code, seconds = bot.stop(signal.SIGTERM)

    assert code == 0
    assert seconds < 10
    assert "Traceback" not in bot.log
    assert listing(place.home, place.cwd) == []


@pytest.mark.slow
def test_a_second_signal_ends_at_once(slow: Place) -> None:
    with slow.running("--model", "slow") as bot, asking(bot, "go"):
        bot.process.send_signal(signal.SIGTERM)
        while "stopping" not in bot.log:
            assert bot.process.poll() is None
        code, seconds = bot.stop(signal.SIGTERM)

    assert code == 128 + signal.SIGTERM
    assert seconds < 5  # it need not wait for the answer


class asking(threading.Thread):  # noqa: N801 - used as a context
    """A request that is being answered, by a program that reads it to the end, if it comes."""

    def __init__(self, bot: Running, text: str) -> None:
        super().__init__(daemon=True)
        self._bot, self._text = bot, text
        self._sign = f'botkit_backend_running{{model="{bot.model}"}} 1.0'.encode()

    def run(self) -> None:
        try:
            self._bot.ask(self._text, model=self._bot.model, max_tokens=500, temperature=0)
        except (OSError, ValueError):
            return  # the bot is gone

    def __enter__(self) -> asking:
        self._bot.wait_until("web")
        self.start()
        while self._sign not in self._bot.get("/metrics")[1]:
            assert self.is_alive()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()


@pytest.mark.slow
def test_what_a_killed_bot_left_open_is_answered_by_the_next(slow: Place) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "botkit", "chat", "--model", "slow", "--once", "go"],
        stdout=subprocess.PIPE, cwd=slow.cwd, env=slow.environment(),
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.read(1)
    process.kill()
    process.wait()
    process.stdout.close()
    assert stored(slow.data).outcomes == ["open"]

    with slow.running("--model", "slow") as bot:
        while "message_settled" not in bot.log:
            assert bot.process.poll() is None
        bot.stop()

    kept = stored(slow.data)
    assert kept.outcomes == ["answered"]
    ((asked, answered),) = kept.conversations
    assert asked == ("user", "go")
    assert "tick99" in answered[1]


@pytest.mark.slow
def test_serve_answers_without_page_and_beside_a_bot(place: Place) -> None:
    with (
        place.running("--model", "echo") as bot,
        place.running("--model", "echo", command="serve") as worker,
    ):
        bot.wait_until("web")
        worker.wait_until("web")
        assert worker.url != bot.url
        assert worker.ask("hello", model="echo")[1]["choices"][0]["message"]["content"] == "hello"
        assert worker.get("/readyz")[0] == 200
        assert worker.get("/")[0] == 404
        assert worker.stop()[0] == 0
        assert bot.get("/readyz")[0] == 200
        assert bot.stop()[0] == 0


@pytest.mark.slow
def test_a_broken_plugin_does_not_keep_the_bot_from_running(place: Place) -> None:
    install_plugin(place.plugins, "broken", "raise RuntimeError('pelargonium')\n")
    with place.running("--model", "echo") as bot:
        bot.wait_until("web")
        assert bot.ask("hello", model="echo")[0] == 200
        bot.stop()

    (report,) = [json.loads(line) for line in bot.log.splitlines() if "plugin_left_out" in line]
    assert (report["plugin"], report["error"]) == ("broken", "RuntimeError: pelargonium")

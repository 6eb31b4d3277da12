"""`botkit chat` as a script and a person at a terminal use it."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botkit_process import LIMIT_S, SLOW_PLUGIN, Place, install_plugin, stored

from botkit import log
from botkit.chat.commands import MENU
from botkit.cli.main import main
from botkit.clock import SystemClock
from botkit.errors import BackendDied, QueueFull
from botkit.hookspecs import BackendSpec
from botkit.plugins import Plugins
from botkit.store.lock import FileLock
from botkit.testing.scripted import ScriptedBackend

COMMANDS = ", ".join(sorted(f"/{command.name}" for command in MENU))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("BOTKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BOTKIT_DATA", str(tmp_path / "data"))
    yield
    log.reset()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Chat:
    """Runs the command in this process; keeps what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str, model: str = "echo") -> int:
        with pytest.raises(SystemExit) as ended:
            main(["chat", "--model", model, *words])
        self.out, self.err = self._capsys.readouterr()
        return int(ended.value.code or 0)


@pytest.fixture
def chat(capsys: pytest.CaptureFixture[str]) -> Chat:
    return Chat(capsys)


def test_one_answer_is_the_words_and_a_line_end(chat: Chat) -> None:
    assert chat("--once", "hello  you") == 0

    assert (chat.out, chat.err) == ("hello  you\n", "")


def test_one_answer_as_json(chat: Chat) -> None:
    assert chat("--once", "hello", "--json") == 0

    (facts,) = [json.loads(line) for line in chat.out.splitlines()]
    assert facts.pop("seconds") >= 0
    assert facts == {"reply": "hello", "model": "echo", "outcome": "answered"}
    assert chat.err == ""


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a\x00b\x1b[2Jc\x7f", "ab[2Jc\n"),
        ("a\udcffb\ud800", "a�b�\n"),
        ("line\r\nline\tend", "line\nline\tend\n"),
        ("\N{MAN}\u200d\N{WOMAN} e\u0301 \u202e", "\N{MAN}\u200d\N{WOMAN} e\u0301 \u202e\n"),
    ],
)
def test_what_is_no_text_is_taken_out(chat: Chat, text: str, answer: str) -> None:
    assert chat("--once", text) == 0

    assert chat.out == answer


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "The message is empty."),
        (" \n\t", "The message is empty."),
        ("\x00\x1b", "The message is empty."),
        ("x" * 2**20, "The message has at least 1048576 bytes, 65536 are the most I read."),
        ("\N{PILE OF POO}" * 2**15, "The message has at least 131072 bytes, 65536 are the most I read."),
        ("/nosuch", f"unknown command '/nosuch' (there are: {COMMANDS})"),
        ("/hepl", "unknown command '/hepl' (did you mean '/help'?)"),
    ],
)
def test_what_is_refused_is_one_line_on_standard_error(chat: Chat, text: str, line: str) -> None:
    assert chat("--once", text) == 2

    assert (chat.out, chat.err) == ("", f"botkit: {line}\n")


def test_a_refusal_as_json_has_its_outcome(chat: Chat) -> None:
    assert chat("--once", "", "--json") == 2

    assert json.loads(chat.out)["outcome"] == "refused"
    assert json.loads(chat.out)["reply"] == "The message is empty."


def test_a_command_is_obeyed(chat: Chat) -> None:
    assert chat("--once", "/help") == 0
    assert "- /reset: " in chat.out


def test_the_longest_answer_is_as_long_as_told(chat: Chat) -> None:
    assert chat("--once", "one two three", "--max-tokens", "2") == 0
    assert chat.out == "one two\n"


def test_the_conversation_is_kept_and_sealed(chat: Chat, tmp_path: Path) -> None:
    assert chat("--once", "pelargonium") == 0

    kept = stored(tmp_path / "data")
    assert kept.conversations == [[("user", "pelargonium"), ("assistant", "pelargonium")]]
    assert kept.outcomes == ["answered"]
    for path in (tmp_path / "data").iterdir():
        assert b"pelargonium" not in path.read_bytes()


def test_two_answers_are_two_conversations(chat: Chat, tmp_path: Path) -> None:
    chat("--once", "first")
    chat("--once", "second")

    assert [turns[0] for turns in stored(tmp_path / "data").conversations] == [
        ("user", "first"),
        ("user", "second"),
    ]


def test_beside_a_running_bot_it_answers_and_keeps_nothing(chat: Chat, tmp_path: Path) -> None:
    chat("--once", "before")
    lock = FileLock(tmp_path / "data" / "botkit.db")
    try:
        assert chat("--once", "meanwhile") == 0
    finally:
        lock.release()

    assert chat.out == "meanwhile\n"
    (note,) = chat.err.splitlines()
    assert "botkit.db is in use by process" in note
    assert note.endswith("this conversation is not kept")
    assert len(stored(tmp_path / "data").conversations) == 1


def with_backend(
    monkeypatch: pytest.MonkeyPatch, prepare: Callable[[ScriptedBackend], None]
) -> ScriptedBackend:
    """Serve the model ``scripted`` by a backend that *prepare* has changed."""
    backend = ScriptedBackend(SystemClock())
    prepare(backend)
    plugins = Plugins(backends={"scripted": BackendSpec("scripted", lambda settings: backend)})
    monkeypatch.setattr(Plugins, "load", lambda disabled=(): plugins)
    return backend


def test_a_failure_before_the_first_word_is_one_line(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    with_backend(monkeypatch, lambda backend: backend.fail_after(0, BackendDied("gone")))

    assert chat("--once", "hello", model="scripted") == 1

    assert chat.out == ""
    assert chat.err.startswith("botkit: My model failed on this one. Please try again. (id ")
    assert chat.err.count("\n") == 1


def test_a_failure_in_the_middle_leaves_the_words_and_one_line(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(backend: ScriptedBackend) -> None:
        backend.chunk_s = 0.1  # longer than the pace of the terminal, so that words are shown before
        backend.fail_after(2, BackendDied("gone"))

    with_backend(monkeypatch, prepare)

    assert chat("--once", "one two three", model="scripted") == 1

    assert chat.out in ("one two\n", "one\n")
    assert chat.err.startswith("botkit: ")
    assert "My model failed on this one." in chat.err
    assert chat.err.count("\n") == 1


def test_a_refusal_of_the_backend_is_misuse(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    with_backend(monkeypatch, lambda backend: backend.fail_after(0, QueueFull("full")))

    assert chat("--once", "hello", model="scripted") == 2
    assert (chat.out, chat.err) == ("", "botkit: I am busy. Please try again in a moment.\n")


def test_a_model_that_does_not_start_is_one_line(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(backend: ScriptedBackend) -> None:
        backend.start_error = BackendDied("it ended at its start")

    backend = with_backend(monkeypatch, prepare)

    assert chat("--once", "hello", model="scripted") == 1

    assert (chat.out, chat.err) == ("", "botkit: it ended at its start\n")
    assert backend.closed


def test_a_fault_of_a_plugin_shows_its_traceback_only_where_it_is_asked_for(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = with_backend(monkeypatch, lambda backend: backend.fail_after(0, ZeroDivisionError("oops")))
    assert chat("--once", "hello", model="scripted") == 1
    assert chat.err.count("\n") == 1
    assert "oops" not in chat.err

    backend.fail_after(0, ZeroDivisionError("oops"))
    chat("--once", "hello", "--set", "log.level=warning", model="scripted")
    assert "oops" in chat.err


def test_lines_from_a_pipe_are_one_conversation(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("hello\n\n  \n/nosuch\nand  you\n/model"))

    assert chat() == 0

    assert chat.out.splitlines() == [
        "hello",
        f"Unknown command '/nosuch' (there are: {COMMANDS})",
        "and  you",
        *chat.out.splitlines()[3:],
    ]
    assert "echo" in chat.out.splitlines()[3]
    assert chat.err == ""
    (turns,) = stored(tmp_path / "data").conversations
    assert [text for role, text in turns if role == "user"][:2] == ["hello", "and  you"]


def test_ctrl_c_at_the_prompt_ends_the_program(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)

    assert chat() == 0
    assert (chat.out, chat.err) == ("", "")


def test_a_line_of_a_megabyte_and_bytes_that_are_no_text_end_nothing(place: Place) -> None:
    done = place.botkit("chat", "--model", "echo", stdin=b"x" * 2**20 + b"\na\xffb\x00c\nstill here\n")

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == [
        "The message has at least 1048576 bytes, 65536 are the most I read.",
        "a�bc",
        "still here",
    ]


def test_an_argument_that_is_no_text_is_answered(place: Place) -> None:
    done = place.botkit("chat", "--model", "echo", "--once", b"a\xffb\x01c")

    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, "a�bc\n", b"")


class Terminal:
    """A process at a terminal of its own, and the person who types there."""

    def __init__(self, place: Place, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "botkit", *words],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=place.cwd,
            env=place.environment(TERM="dumb"), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, wanted: str) -> str:
        """Read until *wanted* is shown; return what came before and forget it all."""
        end_s = time.monotonic() + LIMIT_S
        while wanted not in self.shown:
            assert time.monotonic() < end_s, f"{wanted!r} did not come: {self.shown!r}"
            if select.select([self._ours], [], [], 1.0)[0]:
                try:
                    self.shown += os.read(self._ours, 4096).decode("utf-8", "replace")
                except OSError:  # the other end is closed
                    raise AssertionError(f"{wanted!r} did not come: {self.shown!r}") from None
        before, _, self.shown = self.shown.partition(wanted)
        return before

    def end(self) -> int:
        """Read to the end, and return the exit status."""
        while select.select([self._ours], [], [], LIMIT_S)[0]:
            try:
                self.shown += os.read(self._ours, 4096).decode("utf-8", "replace")
            except OSError:
                break
        return self.process.wait(LIMIT_S)


CTRL_C, CTRL_D = "\x03", "\x04"


def test_a_person_at_a_terminal(place: Place) -> None:
    with Terminal(place, "chat", "--model", "echo") as terminal:
        assert "Talking to echo. /help shows what you can do; Ctrl-D ends." in terminal.until("> ")
        terminal.type("good morning\n")
        assert terminal.until("> ").split() == ["good", "morning"] * 2  # what was typed, and the answer
        terminal.type("/help\n")
        assert "/regenerate" in terminal.until("> ")
        terminal.type(CTRL_D)

        assert terminal.end() == 0

    assert "Traceback" not in terminal.shown
    assert stored(place.data).outcomes == ["answered", "refused"]


@pytest.mark.slow
def test_ctrl_c_stops_the_answer_and_not_the_program(place: Place) -> None:
    install_plugin(place.plugins, "slow", SLOW_PLUGIN)
    with Terminal(place, "chat", "--model", "slow") as terminal:
        terminal.until("> ")
        terminal.type("go\n")
        terminal.until("tick1 ")
        terminal.until("tick3 ")  # it streams
        terminal.type(CTRL_C)
        assert "tick60" not in terminal.until("> ")
        terminal.type("/help\n")
        terminal.until("/reset")
        terminal.until("> ")
        terminal.type(CTRL_D)

        assert terminal.end() == 0

    assert "Traceback" not in terminal.shown
    assert stored(place.data).outcomes[0] == "cancelled"


@pytest.mark.slow
def test_ctrl_c_at_one_answer_ends_with_130_and_leaves_nothing_open(place: Place) -> None:
    install_plugin(place.plugins, "slow", SLOW_PLUGIN)
    with Terminal(place, "chat", "--model", "slow", "--once", "go") as terminal:
        terminal.until("tick1 ")
        terminal.type(CTRL_C)

        assert terminal.end() == 130

    assert "Traceback" not in terminal.shown
    assert stored(place.data).outcomes == ["cancelled"]


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--once", "go")])
def test_ctrl_c_while_the_model_loads_ends_the_program(place: Place, words: tuple[str, ...]) -> None:
    loads = (
        'async def start(self):\n        print("it loads", flush=True)\n        await asyncio.Event().wait()'
    )
    install_plugin(place.plugins, "slow", SLOW_PLUGIN.replace("async def start(self): pass", loads))
    with Terminal(place, "chat", "--model", "slow", *words) as terminal:
        terminal.until("it loads")
        terminal.type(CTRL_C)

        assert terminal.end() == 130

    assert "Traceback" not in terminal.shown


@pytest.mark.slow
def test_a_killed_chat_leaves_its_message_open(place: Place) -> None:
    install_plugin(place.plugins, "slow", SLOW_PLUGIN)
    with Terminal(place, "chat", "--model", "slow", "--once", "go") as terminal:
        terminal.until("tick1 ")
        terminal.process.send_signal(signal.SIGKILL)
        terminal.end()

    assert stored(place.data).outcomes == ["open"]


@pytest.mark.slow
def test_beside_botkit_run_it_answers(place: Place) -> None:
    with place.running("--model", "echo") as bot:
        done = place.botkit("chat", "--model", "echo", "--once", "meanwhile")

        assert (done.returncode, done.stdout) == (0, b"meanwhile\n")
        assert f"in use by process {bot.process.pid}" in done.stderr.decode()


@pytest.mark.slow
@pytest.mark.usefixtures("default_model")
class TestRealWeights:
    @pytest.fixture
    def ask(self, place: Place, default_model: Path) -> Callable[..., str]:
        (place.data / "models").mkdir(parents=True)
        (place.data / "models" / default_model.name).symlink_to(default_model)

        def ask(*words: str) -> str:
            prompt = ("chat", "--model", default_model.name, "--once", "Tell me about rain.")
            done = place.botkit(*prompt, *words)
            assert (done.returncode, done.stderr) == (0, b"")
            return done.stdout.decode()

        return ask

    def test_seeds_repeat_and_temperature_zero_needs_none(self, ask: Callable[..., str]) -> None:
        warm, cold = (
            ("--max-tokens", "16", "--temperature", "1.5"),
            ("--max-tokens", "3", "--temperature", "0"),
        )

        seventh = ask(*warm, "--seed", "7")
        assert ask(*warm, "--seed", "7") == seventh
        assert ask(*warm, "--seed", "8") != seventh
        coldest = ask(*cold)
        assert ask(*cold) == coldest
        assert 1 <= len(coldest.split()) <= 3

"""Models that cannot be used, as whoever starts the bot meets them, and an engine that is killed."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botkit_process import Place, Running, complaint, listing

from botkit.cli.main import main

Spoil = Callable[[Path], object]
MODEL = "tiny"


def configured(**changes: object) -> Spoil:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def written(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def cut_short(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def garbled(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:8] + b"{" * 100 + content[108:])


WEIGHTS = "weights.safetensors"
FAULTS = [
    (cut_short, "is truncated: 10 of "),
    (garbled, "is corrupt: "),
    (written(WEIGHTS, b""), "is truncated: it has 0 bytes"),
    (
        written(WEIGHTS, (2**62).to_bytes(8, "little") + b"{}"),
        "has a header of 4,611,686",
    ),
    (written(WEIGHTS, (9**7).to_bytes(8, "little") + b"[" * 9**7), "is corrupt: "),
    (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    (written("tokenizer.json", b"\xff{}"), "is corrupt: "),
    (written("config.json", b"{"), "config.json is corrupt: "),
    (configured(model_type="lama"), "'lama'"),
    (configured(hidden_size=64), "but the configuration says"),
    (configured(num_hidden_layers=10**9), "'num_hidden_layers' must be an integer from 1 to "),
    (written("tokenizer_config.json", b'{"chat_template": "{% for"}'), "cannot be compiled"),
]
NAMES = [
    "cut short", "garbled header", "empty", "header bomb", "deep header", "no tokenizer", "garbled tokenizer",
    "garbled configuration", "unknown architecture", "other shapes", "too many layers", "broken template",
]  # fmt: skip
each_fault = pytest.mark.parametrize(("spoil", "expected"), FAULTS, ids=NAMES)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place with a tiny model that works."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "engine")
    from tiny_llama import write_tiny_llama

    for name in [name for name in os.environ if name.startswith("BOTKIT_")]:
        monkeypatch.delenv(name)
    place = Place(tmp_path)
    write_tiny_llama(place.data / "models" / MODEL)
    return place


@each_fault
def test_doctor_finds_it(
    place: Place, spoil: Spoil, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(place.data / "models" / MODEL)

    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json", "--data", str(place.data), "--model", MODEL, "--set", "web.port=0"])

    found = [one for one in json.loads(capsys.readouterr().out) if one["state"] == "fail"]
    assert [one["check"] for one in found] == ["model"]
    assert expected in found[0]["detail"]
    assert ended.value.code == 1


@pytest.mark.slow
@each_fault
def test_an_answer_is_one_line_instead(place: Place, spoil: Spoil, expected: str) -> None:
    spoil(place.data / "models" / MODEL)

    done = place.botkit("chat", "--model", MODEL, "--once", "hello")

    assert expected in complaint(done, 1)
    assert done.stdout == b""


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "expected"), [FAULTS[0], FAULTS[5]])
@pytest.mark.parametrize("command", ["run", "serve"])
def test_the_bot_ends_with_one_line(place: Place, command: str, spoil: Spoil, expected: str) -> None:
    spoil(place.data / "models" / MODEL)

    done = place.botkit(command, "--model", MODEL, "--set", "web.port=0")

    assert expected in complaint(done, 1)


def engine_of(bot: Running) -> int:
    """Return the number of the engine's process."""
    children = Path(f"/proc/{bot.process.pid}/task").glob("*/children")
    (engine,) = [int(number) for path in children for number in path.read_text().split()]
    return engine


@pytest.mark.slow
def test_a_killed_engine_is_started_again(place: Place) -> None:
    with place.running("--model", MODEL) as bot:
        bot.wait_until("web")
        assert bot.ask("hello", model=MODEL, max_tokens=4)[0] == 200
        first = engine_of(bot)
        os.kill(first, signal.SIGKILL)

        status, answer = bot.ask("hello again", model=MODEL, max_tokens=4)

        assert (status, answer["object"]) == (200, "chat.completion")
        assert engine_of(bot) != first
        assert bot.get("/readyz")[0] == 200
        assert bot.stop()[0] == 0
    assert "engine_process_restarted" in bot.log
    assert listing(place.home, place.cwd) == []
    assert "Traceback" not in bot.log


@pytest.mark.slow
def test_a_killed_bot_leaves_no_engine(place: Place) -> None:
    with place.running("--model", MODEL) as bot:
        engine = engine_of(bot)
        bot.stop(signal.SIGKILL)
        try:
            descriptor = os.pidfd_open(engine)
        except ProcessLookupError:
            return
        assert select.select([descriptor], [], [], 10)[0], "the engine lives on"
        os.close(descriptor)

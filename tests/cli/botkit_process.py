"""botkit as a person or a script starts it: a process of its own, with a home and a folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botkit.clock import SystemClock
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.seal import Sealer
from botkit.types import ConversationKey

LIMIT_S = 60


class Place:
    """Where a process lives: ``home`` and ``cwd`` start empty, and ``data`` holds all state."""

    def __init__(self, root: Path) -> None:
        self.home, self.cwd, self.data = root / "home", root / "cwd", root / "data"
        self.plugins = root / "plugins"
        for folder in (self.home, self.cwd):
            folder.mkdir()

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        own = {"HOME": str(self.home), "BOTKIT_DATA": str(self.data), "PYTHONPATH": str(self.plugins)}
        return {**kept, **own, "COLUMNS": "80", **more}

    def botkit(
        self, *words: str | bytes | Path, stdin: bytes = b"", **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "botkit", *words],
            input=stdin,
            capture_output=True,
            cwd=self.cwd,
            env=self.environment(),
            timeout=LIMIT_S,
            check=False,
            **options,
        )

    @contextmanager
    def running(self, *words: str, command: str = "run", until: str = "ready") -> Iterator[Running]:
        """Give a bot that serves on a free port; *until* is the event to wait for."""
        log = self.cwd.parent / "stderr"
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "botkit", command, "--json", "--set", "web.port=0", *words],
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self.cwd,
                env=self.environment(),
            )
        bot = Running(process, log)
        try:
            bot.wait_until(until)
            yield bot
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


class Running:
    """A bot that runs: ``events`` are the lines it printed."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._log = log

    def wait_until(self, *wanted: str) -> None:
        """Read lines until the model or the named adapter is ready."""
        assert self.process.stdout is not None
        while not {"model" if one == "ready" else one for one in wanted} <= self._ready():
            line = self.process.stdout.readline()
            assert line, f"it ended early:\n{self.log}"
            self.events.append(json.loads(line))

    def _ready(self) -> set[str]:
        ready = [one for one in self.events if one["event"] == "ready"]
        return {one.get("adapter", "model") for one in ready}

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    @property
    def url(self) -> str:
        return str(next(one["detail"] for one in self.events if one.get("adapter") == "web"))

    @property
    def model(self) -> str:
        return str(self.events[0]["model"])

    def get(self, path: str) -> tuple[int, bytes]:
        return self._call(urllib.request.Request(self.url + path))

    def ask(self, text: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Let the model answer *text* over the API; return the status and the body."""
        form = {"messages": [{"role": "user", "content": text}], **fields}
        header = {"content-type": "application/json"}
        asked = urllib.request.Request(
            self.url + "/v1/chat/completions", json.dumps(form).encode(), header, method="POST"
        )
        status, body = self._call(asked)
        return status, json.loads(body)

    def stop(self, *signals: signal.Signals) -> tuple[int, float]:
        """Send the signals one after the other; return the exit status and the seconds it took."""
        started_s = time.monotonic()
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
        return self.process.wait(LIMIT_S), time.monotonic() - started_s

    @staticmethod
    def _call(asked: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(asked, timeout=LIMIT_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def complaint(done: subprocess.CompletedProcess[bytes], status: int) -> str:
    """Return the one line that a command ended with; fails if there is more, or a traceback."""
    text = done.stderr.decode()
    lines = [line for line in text.splitlines() if not line.startswith("{")]  # log events aside
    assert done.returncode == status, text
    assert "Traceback" not in text
    assert len(lines) == 1, text
    assert lines[0].startswith("botkit: ")
    return lines[0].removeprefix("botkit: ")


def listing(*folders: Path) -> Sequence[str]:
    """Return all there is below *folders*."""
    return sorted(str(path) for folder in folders for path in folder.rglob("*"))


@dataclass(frozen=True)
class Stored:
    """What a database holds: each conversation's turns as (role, text), and the outcome of each message."""

    conversations: list[list[tuple[str, str]]]
    outcomes: list[str]


def stored(data: Path) -> Stored:
    """Read the database of a data folder, as the store reads it."""

    async def read() -> list[list[tuple[str, str]]]:
        database = await Database.open(f"sqlite:///{data / 'botkit.db'}")
        store = ConversationStore(database, Sealer.open(data, {}), SystemClock())
        try:
            found = [await store.conversation(ConversationKey(*key)) for key in keys]
        finally:
            await database.aclose()
        return [[(turn.role, turn.text) for turn in one.turns] for one in found if one is not None]

    with closing(sqlite3.connect(data / "botkit.db")) as connection:
        keys = connection.execute("SELECT platform, bot, chat, thread FROM conversations ORDER BY id")
        keys = keys.fetchall()
        states = connection.execute("SELECT state FROM messages WHERE role = 'user' ORDER BY id").fetchall()
    return Stored(asyncio.run(read()), [state for (state,) in states])


SLOW_PLUGIN = '''
import asyncio
from contextlib import asynccontextmanager
from botkit import hookimpl
from botkit.types import BackendStatus, Chunk, Usage

class Slow:
    """Says "tick" a hundred times, twenty times a second."""
    model, slots, context_tokens, running = "slow", 4, 4096, 0
    async def start(self): pass
    async def aclose(self): pass
    async def count_tokens(self, turns): return 1
    def status(self): return BackendStatus(self.model, "ready", running=self.running)
    @asynccontextmanager
    async def generate(self, request):
        async def ticks():
            for n in range(100):
                await asyncio.sleep(0.05)
                yield Chunk(request.id, text=f"tick{n} ", n_tokens=1)
            yield Chunk(request.id, finish="stop", usage=Usage(1, 100))
        self.running += 1
        try:
            yield ticks()
        finally:
            self.running -= 1

@hookimpl
def register_backends(register):
    register("slow", lambda settings: Slow())
'''


def install_plugin(folder: Path, name: str, source: str) -> Path:
    """Lay a plugin out in *folder* as pip would; return what belongs into ``PYTHONPATH``."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[botkit]\n{name} = {name}\n")
    (folder / f"{name}.py").write_text(source)
    return folder

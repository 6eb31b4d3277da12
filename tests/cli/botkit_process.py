"""botkit as a person or a script starts it: a process of its own, with a home and a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_S = 60


class Place:
    """Where a process lives: ``home`` and ``cwd`` start empty, and ``data`` holds all state."""

    def __init__(self, root: Path) -> None:
        self.home, self.cwd, self.data = root / "home", root / "cwd", root / "data"
        for folder in (self.home, self.cwd):
            folder.mkdir()

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.home), "BOTKIT_DATA": str(self.data), "COLUMNS": "80", **more}

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
        process = subprocess.Popen(
            [sys.executable, "-m", "botkit", command, "--json", "--set", "web.port=0", *words],
            stdout=subprocess.PIPE,
            stderr=(self.cwd.parent / "stderr").open("ab"),
            cwd=self.cwd,
            env=self.environment(),
        )
        bot = Running(process, self.cwd.parent / "stderr")
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
        missing = {"model" if one == "ready" else one for one in wanted}
        while missing:
            line = self.process.stdout.readline()
            assert line, f"it ended early:\n{self.log}"
            self.events.append(json.loads(line))
            missing -= self.events[-1].keys()
            missing -= {self.events[-1].get("adapter")}

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    @property
    def url(self) -> str:
        return str(next(one["detail"] for one in self.events if one.get("adapter") == "web"))

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

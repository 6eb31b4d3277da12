"""What was said to be stored is there after kill -9, at any point; what was not, is whole or absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("storing_child.py")


class Said:
    """What a child claimed before it died."""

    def __init__(self, output: str) -> None:
        lines = [line.split() for line in output.splitlines()]
        self.found_open = [word for line in lines if line[0] == "open" for word in line[1:]]
        self.stored = {line[1] for line in lines if line[0] == "stored"}
        self.answered = {line[1] for line in lines if line[0] == "answered"}
        self.survived = ["survived"] in lines


def run_child(url: str, folder: Path, first: int, point: str) -> tuple[int, Said]:
    words = [sys.executable, str(CHILD), url, str(folder), str(first), point]
    environment = {**os.environ, "PYTHONPATH": str(CHILD.parent)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.stderr == ""
    return done.returncode, Said(done.stdout)


def assert_kept(said: Said, later: Said, first: int) -> None:
    """Every message said to be stored is open unless the child answered it, and open once."""
    mine = [event_id for event_id in later.found_open if first <= int(event_id[1:]) < first + 200]
    assert len(mine) == len(set(mine))
    assert {event_id for event_id in said.stored if int(event_id[1:]) % 2 == 0} <= set(mine)
    assert not said.answered & set(mine)


@pytest.mark.parametrize("point", ["after_insert", "before_commit", "after_answer"])
def test_stored_means_recovered_after_a_kill_inside_a_transaction(
    url: str, tmp_path: Path, point: str
) -> None:
    status, said = run_child(url, tmp_path, 0, point)
    assert status == -9
    assert {"e0", "e1", "e2"} <= said.stored

    status, later = run_child(url, tmp_path, 0, "look")

    assert status == 0
    assert_kept(said, later, 0)


def test_stored_means_recovered_after_kills_at_random_moments(url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHILD.parent)}
    history: list[tuple[int, Said]] = []
    for n, n_lines in enumerate((3, 40, 150)):
        words = [sys.executable, str(CHILD), url, str(tmp_path), str(n * 200), "never"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(n_lines)]
            child.kill()
            lines.append(child.stdout.read())  # what it said before it died
        whole = "".join(lines)
        history.append((n * 200, Said(whole[: whole.rfind("\n") + 1])))

    _, later = run_child(url, tmp_path, 0, "look")

    assert sum(len(said.stored) for _, said in history) > 50
    for first, said in history:
        assert_kept(said, later, first)

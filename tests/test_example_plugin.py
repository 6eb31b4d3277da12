"""The plugin in ``examples/`` is somebody else's: it is installed and used, and it keeps the contract."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from botkit.protocols import Backend
from botkit.testing.backend_contract import BackendContract

EXAMPLE = Path(__file__).parent.parent / "examples" / "botkit-echo"
MAX_LINES = 39


def test_the_example_is_short_enough_to_be_read_at_a_glance() -> None:
    modules = list(EXAMPLE.rglob("*.py"))

    assert [path.name for path in modules] == ["botkit_echo.py"]
    assert len(modules[0].read_text().splitlines()) <= MAX_LINES


class TestReverser(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        spec = importlib.util.spec_from_file_location("reverser", EXAMPLE / "botkit_echo.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        reverser: Backend = module.Reverser()
        return reverser


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that has the example installed, and a data folder of its own."""
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, EXAMPLE]
    subprocess.run(pip, check=True)
    return {**os.environ, "PYTHONPATH": str(site), "BOTKIT_DATA": str(tmp_path / "state")}


def botkit(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "botkit", *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_example_is_found_and_answers_once_it_is_installed(environment: dict[str, str]) -> None:
    listed = {one["name"]: one for one in json.loads(botkit(environment, "plugins", "list", "--json"))}

    assert listed["echo"]["state"] == "loaded"
    assert listed["echo"]["registered"] == ["backend reverse-echo"]
    answer = botkit(environment, "chat", "--model", "reverse-echo", "--once", "one two three")
    assert answer.strip() == "three two one"

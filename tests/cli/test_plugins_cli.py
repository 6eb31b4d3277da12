"""`botkit plugins` as a person or a script calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

import botkit.plugins
from botkit import hookimpl
from botkit.cli.main import main
from botkit.cli.plugin_project import files


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOTKIT_DATA", str(tmp_path / "state"))


class Installed:
    """Plugins that are installed for one test, each a module of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._points: list[EntryPoint] = []
        monkeypatch.setattr(botkit.plugins, "entry_points", lambda group: self._points)

    def add(self, name: str, **hooks: object) -> None:
        module = ModuleType(f"plugin_of_a_test_{name}")
        for hook, function in hooks.items():
            setattr(module, hook, hookimpl(function))  # type: ignore[call-overload]
        self._monkeypatch.setitem(sys.modules, module.__name__, module)
        self._points.append(EntryPoint(name, module.__name__, "botkit"))

    def add_missing(self, name: str) -> None:
        self._points.append(EntryPoint(name, "there_is_no_such_module", "botkit"))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    return Installed(monkeypatch)


def shout(register: object) -> None:
    register("shout", object, summary="loud")  # type: ignore[operator]
    register("whisper", object)  # type: ignore[operator]


def broken_filters(register: object, settings: object) -> None:
    raise ValueError("no such rule")


def test_our_own_plugins_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "list", "--json") == 0

    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["transformer"]["state"] == "loaded"
    assert "architecture llama" in listed["transformer"]["registered"]
    assert "register_importers" in listed["transformer"]["hooks"]
    assert listed["transformer"]["version"] == botkit.__version__


def test_the_list_shows_state_hooks_and_what_was_registered(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.add("loud", register_backends=shout, register_filters=lambda register, settings: None)
    installed.add("quiet")
    installed.add_missing("gone")

    assert run("plugins", "list", "--set", "plugins.disabled=quiet") == 0

    assert [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()] == [
        ["gone", "broken", "ModuleNotFoundError: No module named 'there_is_no_such_module'"],
        ["loud", "loaded", "backends shout, whisper; filters"],
        ["quiet", "disabled"],
    ]


def test_no_plugin_at_all_is_said(installed: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "list") == 0

    assert capsys.readouterr().out == "no plugin is installed\n"


def test_check_is_content_with_plugins_that_load(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.add("loud", register_backends=shout)

    assert run("plugins", "check") == 0

    assert "1 plugins" in capsys.readouterr().out


def test_check_names_each_broken_plugin_on_a_line(
    installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.add("good", register_backends=shout)
    installed.add("late", register_filters=broken_filters)
    installed.add("odd", register_nonsense=shout)
    installed.add_missing("gone")

    assert run("plugins", "check") == 1

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["gone", "late", "odd"]
    assert lines[1] == "late: ValueError: no such rule"


def test_check_answers_in_json(installed: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    installed.add_missing("gone")

    assert run("plugins", "check", "--json") == 1

    (broken,) = json.loads(capsys.readouterr().out)
    assert broken["name"] == "gone"


def test_new_writes_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins", "new", "loud-words") == 0

    written = {path.name for path in (tmp_path / "loud-words").iterdir()}
    assert written == {
        "pyproject.toml", "botkit_loud_words.py", "test_botkit_loud_words.py", "README.md"
    }  # fmt: skip
    assert "pip install -e ./loud-words" in capsys.readouterr().out


def test_a_new_project_keeps_to_the_style_of_ours(tmp_path: Path) -> None:
    assert run("plugins", "new", "l" * 40) == 0

    config = Path(__file__).parents[2] / "pyproject.toml"
    ruff = Path(sys.executable).with_name("ruff")
    for check in (["format", "--check"], ["check", "--ignore", "S101,D103"]):
        done = subprocess.run([ruff, *check, "--config", config, "l" * 40], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_new_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loud").mkdir()

    assert run("plugins", "new", "loud") == 1

    assert list((tmp_path / "loud").iterdir()) == []
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["Loud", "9lives", "a--b", "-a", "../a", "a/b", "a_b", "", "a" * 41, "botkit-a", "l\u00e4ut"]
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    assert run("plugins", "new", "--", name) == 2

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["transformer", "echo"])
def test_the_name_of_an_installed_plugin_or_model_is_refused(name: str) -> None:
    assert run("plugins", "new", name) == 2


@pytest.mark.slow
def test_a_new_project_is_found_once_it_is_installed_and_passes_its_own_test(tmp_path: Path) -> None:
    assert run("plugins", "new", "loud-words") == 0
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, "./loud-words"]
    subprocess.run(install, check=True)
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}

    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "loud-words"],
        env=environment,
        capture_output=True,
        text=True,
    )
    checked = subprocess.run([sys.executable, "-m", "botkit", "plugins", "check"], env=environment)

    assert tests.returncode == 0, tests.stdout
    assert "3 passed" in tests.stdout
    assert checked.returncode == 0


def test_every_file_of_a_new_project_names_the_plugin() -> None:
    texts = files("loud-words")

    assert 'loud-words = "botkit_loud_words"' in texts["pyproject.toml"]
    assert 'NAME = "loud-words"' in texts["botkit_loud_words.py"]
    assert [name for name, text in texts.items() if "$" in text] == []

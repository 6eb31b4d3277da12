"""The house rules that a machine can hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("botkit/**/*.py"), *ROOT.glob("plugins/**/*.py")])
MAX_LINES = 400
MAX_FUNCTION_LINES = 60  # the aim is 40; nothing may drift far from it

BROAD_EXCEPT_PLACES = {
    "botkit/plugins.py",  # loading a plugin: whatever it does, it becomes a report
    "botkit/chat/pipeline.py",  # one message's handling: whatever goes wrong, the person is told
    "botkit/engine/worker.py",  # the worker's loop: whatever a step does, its requests get an end
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_holds_one_idea_and_no_more_than_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_functions_are_short(path: Path) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, functions) and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert long == []


def test_broad_excepts_stand_in_three_places_only() -> None:
    found = {relative(path) for path in SOURCES if re.search(r"except (Base)?Exception\b", path.read_text())}

    assert found <= BROAD_EXCEPT_PLACES


def test_pickle_is_never_imported() -> None:
    found = [
        relative(p)
        for p in SOURCES
        if re.search(r"^\s*(import|from) (pickle|dill|joblib)", p.read_text(), re.M)
    ]

    assert found == []


def test_nothing_is_loaded_by_torch_load() -> None:
    found = [relative(path) for path in SOURCES if "torch.load(" in path.read_text()]

    assert found == []

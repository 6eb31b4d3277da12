"""The page that explains the walk names files and functions; each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "how-a-message-travels.md"
REFERENCE = re.compile(r"`((?:botkit|plugins)/[\w/]+\.py)(?:: ([\w.]+))?`")


def definitions(path: Path) -> set[str]:
    """Return the qualified names of everything that *path* defines."""
    found: set[str] = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                found.add(prefix + child.name)
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(path.read_text()), "")
    return found


def test_every_file_and_function_of_the_walk_exists() -> None:
    references = REFERENCE.findall(PAGE.read_text())

    assert len(references) >= 10
    missing = [
        (file, name)
        for file, name in references
        if not (ROOT / file).exists() or (name and name not in definitions(ROOT / file))
    ]
    assert missing == []


def test_all_ten_hops_are_there() -> None:
    hops = re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)

    assert hops == [str(n) for n in range(1, 11)]

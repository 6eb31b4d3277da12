"""Every example in the documentation is run, and every link leads somewhere.

Fenced blocks, by their first word: ``python`` is executed, ``toml`` is loaded as settings, ``console`` is
typed into a shell (lines after a ``$ `` line are its output; ``...`` stands for any lines).  After the
word may stand ``file=PATH`` (the block is an excerpt of that file, to the letter), ``install=PATH`` (a
package the commands need), ``model`` (the commands need the default model), ``serve`` (``botkit serve
--model echo`` runs meanwhile, at the address on the page) or ``make`` (what a test run goes through anyway).
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")]
)
SLOW = {"install", "model", "serve"}
SERVED_AT = "http://127.0.0.1:8080"
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    options: dict[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks(language: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            options = dict(word.partition("=")[::2] for word in match[2].split())
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match[1], options, match[3]))
    return [block for block in found if block.language == language]


def excerpts() -> list[Block]:
    return [
        block
        for language in ("python", "toml", "make")
        for block in blocks(language)
        if "file" in block.options
    ]


def runnable(language: str, left_out: str) -> list[object]:
    """Return the blocks to run, but those with the option *left_out*; those that take long are marked."""
    return [
        pytest.param(block, id=str(block), marks=[pytest.mark.slow] if SLOW & block.options.keys() else [])
        for block in blocks(language)
        if left_out not in block.options
    ]


@pytest.mark.parametrize("block", excerpts(), ids=str)
def test_an_excerpt_is_in_its_file_to_the_letter(block: Block) -> None:
    assert block.text in (ROOT / block.options["file"]).read_text()


@contextmanager
def served(block: Block, folder: Path) -> Iterator[Block]:
    """Give the block as it runs: if it asks for it, with a server, and the server's address in it."""
    if "serve" not in block.options:
        yield block
        return
    command = [sys.executable, "-m", "botkit", "serve", "--model", "echo", "--port", "0"]
    server = subprocess.Popen([*command, "--data", str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next(line.split()[1] for line in server.stdout if line.startswith("API: "))
        yield replace(block, text=block.text.replace(SERVED_AT, address))
    finally:
        server.terminate()
        server.communicate(timeout=20)


@pytest.mark.parametrize("block", runnable("python", "file"))
def test_a_python_example_runs(block: Block, tmp_path: Path) -> None:
    with served(block, tmp_path / "data") as example:
        run_python(example, tmp_path)


def run_python(block: Block, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [b for b in blocks("toml") if "file" not in b.options], ids=str)
def test_a_toml_example_is_a_valid_configuration(block: Block, tmp_path: Path) -> None:
    from botkit.config import load_settings

    path = tmp_path / "config.toml"
    path.write_text(block.text)
    path.chmod(0o600)

    load_settings(data_dir=tmp_path, config=path)


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Return each command with the lines expected after it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def matches(actual: str, expected: list[str]) -> bool:
    """Tell whether *actual* is what the page shows, where a line ``...`` stands for any lines."""
    pattern = "\n".join(line.replace("[", "[[]") for line in expected).replace("...", "*")
    return not expected or fnmatch(actual.strip(), pattern.strip())


@pytest.mark.parametrize("block", runnable("console", "make"))
def test_a_console_example_does_what_the_page_shows(
    block: Block, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = {**os.environ, "BOTKIT_DATA": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "100"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    if "model" in block.options:
        folder = request.getfixturevalue("default_model")
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / folder.name).symlink_to(folder)
    if "install" in block.options:
        site = tmp_path / "site"
        package = ROOT / block.options["install"]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(package)]
        subprocess.run(pip, check=True, timeout=300)
        environment["PYTHONPATH"] = str(site)
    with served(block, tmp_path / "data") as example:
        for command, expected in commands(example):
            done = subprocess.run(
                ["bash", "-c", command],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
            assert matches(done.stdout, expected), f"$ {command}\n{done.stdout}"


def test_the_make_targets_that_the_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        words[1]
        for block in blocks("console")
        for command, _ in commands(block)
        if (words := shlex.split(command)) and words[0] == "make"
    }

    assert named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link]

    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_hook_is_documented_with_its_arguments() -> None:
    from botkit.hookspecs import Hooks

    page = (ROOT / "docs" / "plugins.md").read_text()
    hooks = {
        name: [p for p in inspect.signature(member).parameters if p != "self"]
        for name, member in vars(Hooks).items()
        if not name.startswith("_")
    }

    missing = [
        name for name, arguments in hooks.items() if f"### `{name}({', '.join(arguments)})`" not in page
    ]
    assert missing == []

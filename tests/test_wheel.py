"""What a person gets who installs botkit with pip instead of from a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    into = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", into, ROOT]
    subprocess.run(pip, check=True)
    (built,) = into.glob("botkit-*.whl")
    return built


def sources() -> set[str]:
    """Return every file that belongs into the wheel, by its name there."""
    roots = {
        ROOT / "botkit": "botkit",
        ROOT / "migrations": "botkit/_migrations",
        **{path: path.name for path in (ROOT / "plugins").iterdir() if path.is_dir()},
    }
    return {
        f"{name}/{path.relative_to(root).as_posix()}"
        for root, name in roots.items()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_core_the_plugins_and_the_migrations_are_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())

    assert sources() - inside == set()
    assert {name.partition("/")[0] for name in inside if ".dist-info" not in name} == {
        "botkit", *(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
    }  # fmt: skip


def test_the_command_and_the_plugins_are_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("entry_points.txt")]
        lines = archive.read(name).decode().splitlines()

    assert {
        "botkit = botkit.cli.main:main",
        "transformer = botkit_transformer",
        "web = botkit_web",
    } <= set(lines)


def test_an_installed_wheel_makes_and_checks_its_database(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel]
    subprocess.run(pip, check=True)
    environment = {**os.environ, "PYTHONPATH": str(site), "BOTKIT_DATA": str(tmp_path / "state")}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run(
        "-c", "import botkit; from botkit.store import migrate; print(botkit.__file__, migrate.scripts())"
    )
    assert where.split() == [str(site / "botkit" / "__init__.py"), str(site / "botkit" / "_migrations")]
    assert run("-m", "botkit", "db", "upgrade").startswith("upgraded the schema from no tables to ")
    assert "(up to date)" in run("-m", "botkit", "db", "current")
    assert (tmp_path / "state" / "botkit.db").exists()
    assert "nothing is wrong" in run("-m", "botkit", "plugins", "check")

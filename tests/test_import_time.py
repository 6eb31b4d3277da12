"""What costs time to import is imported when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "sqlalchemy", "alembic", "nicegui", "fastapi", "pydantic", "transformers")
IMPORT = "import botkit"
HELP = "from botkit.cli.main import main; main(['--help'])"
PLUGINS = "from botkit.plugins import Plugins; Plugins.load()"


def imported(program: str) -> set[str]:
    """Return the modules at the top level that *program* imported, in an interpreter of its own."""
    listing = f"import sys\ntry:\n    {program}\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("program", [IMPORT, HELP, PLUGINS], ids=["the package", "the help", "the plugins"])
def test_it_imports_nothing_heavy(program: str) -> None:
    found = imported(program)

    assert "botkit" in found
    assert found & set(HEAVY) == set()


def test_the_probe_would_notice() -> None:
    assert "sqlalchemy" in imported("import botkit.store.schema")

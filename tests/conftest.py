"""Fixtures that more than one part of the tests needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DEFAULT_MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The folder of the default model with its real weights; pulled once where it is not there yet."""
    from botkit.config import load_settings
    from botkit.engine.library import ModelLibrary
    from botkit.plugins import Plugins

    if given := os.environ.get("BOTKIT_TEST_MODEL"):
        return Path(given)
    library = ModelLibrary(load_settings().data_dir / "models")
    library.pull(DEFAULT_MODEL, Plugins.load(), lambda done, total, what: None)
    return library.path(DEFAULT_MODEL)

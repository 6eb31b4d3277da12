"""Fixtures of the transformer tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformer_families import FAMILIES, make_reference, save_reference


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """transformers warns about its own affairs when it is imported and when it saves; not ours to fix."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for message in ("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"):
                item.add_marker(pytest.mark.filterwarnings(message))


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """Return a family's reference model and the folder it was saved to; made once each."""
    made: dict[str, tuple[Any, Path]] = {}

    def get(name: str) -> tuple[Any, Path]:
        if name not in made:
            model = make_reference(*FAMILIES[name])
            made[name] = model, save_reference(model, tmp_path_factory.mktemp(name))
        return made[name]

    return get

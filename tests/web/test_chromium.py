"""How the page tests find a browser, and that they are loud where there is none."""

from __future__ import annotations

from pathlib import Path

import chromium
import pytest


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOTKIT_CHROMIUM", raising=False)
    for name in ("_installed", "_playwrights_own", "_from_packages"):
        monkeypatch.setattr(chromium, name, lambda: None)


def test_the_named_one_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.touch()
    monkeypatch.setenv("BOTKIT_CHROMIUM", str(mine))

    assert chromium.find_chromium() == str(mine)


def test_a_named_one_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOTKIT_CHROMIUM", "/no/such/browser")

    with pytest.raises(pytest.fail.Exception, match="/no/such/browser"):
        chromium.find_chromium()


@pytest.mark.usefixtures("bare_machine")
def test_without_any_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="NO CHROMIUM"):
        chromium.find_chromium()


@pytest.mark.usefixtures("bare_machine")
def test_without_any_others_skip_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="the page was NOT tested"):
        chromium.find_chromium()

"""``botkit doctor``: is the machine as it has to be, and what to do where it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from botkit.cli.context import App
from botkit.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from botkit.cli.checks import Finding
    from botkit.cli.context import Context
    from botkit.config import Settings

app = App()

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@app.command()
def doctor(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The model to look at.")] = "",
) -> None:
    """Check the machine, a line for each thing; exit status 1 if something is in the way."""
    shell: Context = context.obj
    findings = list(_examine(shell, (f"model={model}",) if model else ()))
    if shell.json:
        shell.tell("", [asdict(one) for one in findings])
    else:
        for one in findings:
            _show(shell, one)
    if any(one.state == "fail" for one in findings):
        raise typer.Exit(1)


def _examine(shell: Context, overrides: tuple[str, ...]) -> Iterator[Finding]:
    from botkit.cli import checks
    from botkit.plugins import Plugins

    yield checks.python()
    yield checks.libraries()
    yield checks.sqlite()
    settings, finding = _settings(shell, overrides)
    yield finding
    yield checks.folder(settings)
    yield checks.disk(settings)
    yield checks.key(settings)
    yield checks.database(settings)
    try:
        found = Plugins.load(settings.plugins.disabled)
    except UnknownNameError as error:
        yield checks.failure("plugins", error)
        found = Plugins.load()
    yield from checks.plugins(found, settings)
    yield checks.processor(settings)
    yield checks.gpu(settings)
    yield from checks.model(settings, found)
    yield checks.port(settings)


def _settings(shell: Context, overrides: tuple[str, ...]) -> tuple[Settings, Finding]:
    """Return the settings and what was found; without the file's where that is what is wrong.

    Raises ConfigError when the caller's own words or the environment are off.
    """
    from botkit.cli.checks import Finding, failure
    from botkit.config import CONFIG_FILE, load_settings

    try:
        settings = shell.settings(*overrides)
    except ConfigError as error:
        settings = load_settings(shell.data, Path(os.devnull), [*shell.overrides, *overrides])
        return settings, failure("settings", error)
    path = shell.config or settings.data_dir / CONFIG_FILE
    found = str(path) if path.exists() else "no file, so the defaults; 'botkit init' writes one"
    return settings, Finding("settings", "ok", found)


def _show(shell: Context, finding: Finding) -> None:
    from rich.text import Text

    hint = f" ({finding.hint})" if finding.hint else ""
    line = Text.assemble(
        (f"{finding.state:<6}", STYLES[finding.state]), f"{finding.check:<11}{finding.detail}", (hint, "dim")
    )
    shell.console.print(line, highlight=False, soft_wrap=True)

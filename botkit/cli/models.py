"""``botkit models``: the models there are, and bringing, showing, exporting and removing them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from botkit.cli.context import App

if TYPE_CHECKING:
    from botkit.cli.context import Context
    from botkit.engine.library import ModelLibrary

app = App(name="models", help="Bring, show, export and remove models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model's name, as in 'botkit models list'.")]


@app.command(name="list")
def list_models(context: typer.Context) -> None:
    """List the models that are here, those that plugins serve, and those that can be pulled."""
    shell: Context = context.obj
    library, plugins = shell.library(), shell.plugins()
    here = [_facts(library, name) for name in library.names()]
    served = [{"name": one.name, "summary": one.summary} for one in plugins.backends.values()]
    sources = [
        {"name": one.name, "summary": one.summary, "licence": one.licence} for one in plugins.models.values()
    ]
    if shell.json:
        shell.tell("", {"models": here, "served": served, "sources": sources})
        return
    rows = [(facts["name"], _summary(facts)) for facts in here]
    rows += [(one["name"], f"{one['summary']} (served by a plugin)") for one in served]
    names = {facts["name"] for facts in here}
    absent = [one for one in sources if one["name"] not in names]
    rows += [(one["name"], f"not here yet; botkit models pull {one['name']}") for one in absent]
    width = max((len(name) for name, _ in rows), default=0)
    for name, summary in rows:
        shell.tell(f"{name:{width}}  {summary}", {})


@app.command()
def pull(
    context: typer.Context,
    name_or_path: Annotated[
        str,
        typer.Argument(metavar="NAME_OR_PATH", help="A known name, a Hugging Face folder, or a GGUF file."),
    ],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What to call the model here.")] = None,
) -> None:
    """Bring a model into the data folder; one that is here already costs nothing."""
    from botkit.cli.progress import ProgressDisplay

    shell: Context = context.obj
    library = shell.library()
    before = library.names()
    with ProgressDisplay(shell.errors) as progress:
        pulled = library.pull(name_or_path, shell.plugins(), progress, name=name)
    path, is_new = library.path(pulled), progress.moved_bytes or pulled not in before
    line = f"pulled {pulled} into {path}" if is_new else f"{pulled} is here already: {path}"
    shell.tell(line, {"name": pulled, "path": str(path), "pulled": is_new})


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show what a model is: architecture, size, licence, where it comes from, and its hash."""
    shell: Context = context.obj
    library = shell.library()
    library.path(name, shell.plugins())
    facts = _described(library, name)
    lines = [
        f"{key.replace('_', ' '):{16}}{f'{value:,}' if isinstance(value, int) else value}"
        for key, value in facts.items()
    ]
    shell.tell("\n".join(lines), facts)


@app.command()
def export(
    context: typer.Context,
    name: Name,
    out: Annotated[Path, typer.Option(metavar="PATH", help="The new folder.")],
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="safetensors: a folder that transformers loads.")
    ] = "safetensors",
) -> None:
    """Copy a model out of the data folder."""
    from botkit.cli.progress import ProgressDisplay

    shell: Context = context.obj
    library = shell.library()
    library.path(name, shell.plugins())
    with ProgressDisplay(shell.errors) as progress:
        path = library.export(name, out, form, progress)
    shell.tell(f"exported {name} to {path}", {"name": name, "path": str(path), "format": form})


@app.command()
def remove(context: typer.Context, name: Name) -> None:
    """Remove a model from the data folder."""
    shell: Context = context.obj
    shell.library().remove(name)
    shell.tell(f"removed {name}", {"name": name})


def _facts(library: ModelLibrary, name: str) -> dict[str, Any]:
    """Return what a model is, or what is wrong with it: a broken one must not hide the others."""
    from botkit.errors import ModelError

    try:
        return _described(library, name)
    except ModelError as error:
        return {"name": name, "error": error.line()}


def _described(library: ModelLibrary, name: str) -> dict[str, Any]:
    from dataclasses import asdict

    facts = asdict(library.describe(name))
    return {**facts, "path": str(facts["path"])}


def _summary(facts: dict[str, Any]) -> str:
    if "error" in facts:
        return f"broken: {facts['error']}"
    size = f"{facts['parameters'] / 1e6:,.1f} million parameters, {facts['weight_bytes'] / 1e6:,.0f} MB"
    return f"{facts['architecture']}, {size}, {facts['dtype']}, {facts['licence'] or 'licence not stated'}"

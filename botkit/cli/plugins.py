"""``botkit plugins``: what is installed, what is wrong with it, and the beginning of a new one."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from botkit.cli.context import App
from botkit.errors import EnvironmentFailure, UsageError

if TYPE_CHECKING:
    from botkit.cli.context import Context
    from botkit.plugins import PluginReport, Plugins

app = App(name="plugins", help="List, check and begin plugins.", no_args_is_help=True)

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_NAME_CHARACTERS = 40


@app.command("list")
def list_(context: typer.Context) -> None:
    """Show the installed plugins: name, version, state, hooks and what each registered."""
    shell: Context = context.obj
    reports = shell.plugins().reports
    rows = [(one.name, one.version, one.state, _told(one)) for one in reports]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]
    shell.tell("\n".join(lines) or "no plugin is installed", [asdict(one) for one in reports])


@app.command()
def check(context: typer.Context) -> None:
    """Load every plugin and name those that are broken, one a line; exit status 1 if there is any."""
    shell: Context = context.obj
    plugins = shell.plugins()
    plugins.filters(shell.settings())  # filters register only once there are settings
    broken = [one for one in plugins.reports if one.state == "broken"]
    lines = [f"{one.name}: {one.error}" for one in broken]
    n_loaded = sum(one.state == "loaded" for one in plugins.reports)
    line = "\n".join(lines) or f"nothing is wrong with the {n_loaded} plugins that are loaded"
    shell.tell(line, [{"name": one.name, "error": one.error} for one in broken])
    if broken:
        raise typer.Exit(1)


@app.command()
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and single hyphens.")],
) -> None:
    """Write the project of a new plugin, which works as it is, into the folder NAME."""
    from botkit.cli.plugin_project import files

    shell: Context = context.obj
    _check_name(name, shell.plugins())
    folder = Path(name)
    texts = files(name)
    try:
        folder.mkdir()
        for file, text in texts.items():
            (folder / file).write_text(text, "utf-8")
    except FileExistsError:
        raise EnvironmentFailure(f"{folder.absolute()} exists already", hint="choose another name") from None
    except OSError as error:
        raise EnvironmentFailure(f"cannot write {folder.absolute()}: {error.strerror or error}") from error
    line = f"wrote {', '.join(texts)} into {folder}; 'pip install -e ./{folder}' makes botkit find it"
    shell.tell(line, {"folder": str(folder.absolute()), "files": list(texts)})


def _told(report: PluginReport) -> str:
    """Return what the list says of a plugin in the end."""
    if report.state != "loaded":
        return report.error
    return "; ".join(_of_hook(report, hook.removeprefix("register_")) for hook in report.hooks) or "no hooks"


def _of_hook(report: PluginReport, things: str) -> str:
    """Return *things* (``backends``) with the names that the plugin registered, as far as they are known."""
    kind = f"{things.removesuffix('s')} "
    names = [one.removeprefix(kind) for one in report.registered if one.startswith(kind)]
    return f"{things} {', '.join(names)}".rstrip()


def _check_name(name: str, plugins: Plugins) -> None:
    """Raise UsageError for a name that cannot be a package's, or that another plugin has."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME_CHARACTERS or name.startswith("botkit"):
        raise UsageError(
            f"{name[:80]!r} cannot be a plugin's name",
            hint="small letters, digits and single hyphens, at most 40 of them, without botkit in front",
        )
    if name in plugins.backends or name in {report.name for report in plugins.reports}:
        raise UsageError(f"'{name}' is taken by an installed plugin", hint="choose another name")

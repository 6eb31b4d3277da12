"""``botkit db``: the schema and copies of the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from botkit.cli.context import App

if TYPE_CHECKING:
    from botkit.cli.context import Context

app = App(name="db", help="Upgrade, copy and inspect the database.", no_args_is_help=True)


@app.command()
def upgrade(context: typer.Context) -> None:
    """Bring the database to the newest schema; a SQLite file is copied first."""
    from botkit.store import migrate

    shell: Context = context.obj
    before = migrate.upgrade(_url(shell))
    old, new = before.current or "no tables", before.newest
    line = f"the schema is {new} already" if old == new else f"upgraded the schema from {old} to {new}"
    shell.tell(line, {"before": before.current, "current": new})


# "-1" is a revision here, not an option.
@app.command(context_settings={"ignore_unknown_options": True})
def downgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(metavar="[REV]", help="A revision, -N steps, or base.")] = "-1",
) -> None:
    """Take the database back to an older schema, by one step unless told; a SQLite file is copied first."""
    from botkit.store import migrate

    shell: Context = context.obj
    found = migrate.downgrade(_url(shell), revision)
    line = f"took the schema back from {found.current} to {found.newest}"
    shell.tell(line, {"before": found.current, "current": found.newest})


@app.command()
def current(context: typer.Context) -> None:
    """Show which schema the database has, and which this botkit wants."""
    from botkit.store import migrate

    shell: Context = context.obj
    found = migrate.current(_url(shell))
    state = "up to date" if found.current == found.newest else f"this botkit wants {found.newest}"
    facts = {"current": found.current, "newest": found.newest}
    shell.tell(f"{found.current or 'no tables'} ({state})", facts)


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; it must not exist yet.")],
) -> None:
    """Copy the SQLite database into FILE; the bot may run meanwhile."""
    from botkit.store.backup import backup as copy

    shell: Context = context.obj
    n_bytes = copy(_url(shell), file)
    line = f"copied {n_bytes:,} bytes to {file}; without secret.key (or BOTKIT_KEY) its text cannot be read"
    shell.tell(line, {"file": str(file), "bytes": n_bytes})


def _url(shell: Context) -> str:
    from botkit.store.address import default_url

    settings = shell.settings()
    return settings.database.url.get_secret_value() or default_url(settings.data_dir)

"""``botkit run``: the bot, until it is told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from botkit.cli.context import App

if TYPE_CHECKING:
    from botkit.cli.context import Context

app = App()


@app.command()
def run(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model that answers.")] = None,
) -> None:
    """Run the bot: the web chat, and every chat platform that is enabled, until SIGTERM or Ctrl-C."""
    from botkit.cli.serving import serve_until_stopped

    shell: Context = context.obj
    settings = shell.settings(*([f"model={model}"] if model else []))
    serve_until_stopped(shell, settings)

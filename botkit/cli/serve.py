"""``botkit serve``: the OpenAI-compatible API alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from botkit.cli.context import App

if TYPE_CHECKING:
    from botkit.cli.context import Context

app = App()


@app.command()
def serve(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model to serve.")] = None,
    host: Annotated[str | None, typer.Option(metavar="H", help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(metavar="P", help="The port; 0: any that is free.")] = None,
) -> None:
    """Serve a model to other programs, over the OpenAI-compatible API and nothing else."""
    from botkit.cli.serving import serve_until_stopped

    shell: Context = context.obj
    given = {"model": model, "web.host": host, "web.port": port}
    settings = shell.settings(
        "web.page=false", *(f"{key}={value}" for key, value in given.items() if value is not None)
    )
    # It keeps no conversation, so that it may run beside a bot with the same data folder.
    serve_until_stopped(shell, settings, only=("web",), database_url="sqlite://")

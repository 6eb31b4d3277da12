"""The command line: ``botkit COMMAND``.  One line for what goes wrong, never a traceback."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated

import typer

from botkit import __version__
from botkit.cli.context import INTERRUPTED, App, Context, with_shared_options
from botkit.errors import BotkitError

COMMANDS = ("init", "run", "chat", "serve", "models", "db", "plugins", "doctor")
"""The modules of ``botkit.cli``, each with an ``app``: a named group, or one command without a group."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Put a text generator of your own live where people talk."""


def build() -> App:
    """Return the whole command line; only typer is imported for it."""
    app = App(
        name="botkit", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    app.callback()(with_shared_options(root))
    for name in COMMANDS:
        app.add_typer(import_module(f"botkit.cli.{name}").app)
    return app


def main(words: list[str] | None = None) -> None:
    """Run the command that *words* (default: the process's arguments) name, and exit with its status."""
    context = Context()
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            # A byte or a character that the terminal's encoding has not is no reason to end.
            stream.reconfigure(errors="replace")
    try:
        status = build()(words, standalone_mode=False, obj=context)
        sys.stdout.flush()
    except BotkitError as error:
        context.complain(error.line())
        sys.exit(error.exit_status)
    except typer.TyperException as error:
        if message := error.format_message():
            context.complain(" ".join(message.split()))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has had enough, as in `botkit ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()

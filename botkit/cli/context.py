"""What every command shares: the options that all of them take, and the parts they make from those."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from botkit.config import Settings
    from botkit.engine.library import ModelLibrary
    from botkit.plugins import Plugins

F = TypeVar("F", bound=Callable[..., Any])
PANEL = "Everywhere"
INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def _shared_options(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder that holds all state.", rich_help_panel=PANEL),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The settings file.", rich_help_panel=PANEL)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting; repeatable.", rich_help_panel=PANEL),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Answer in JSON.", rich_help_panel=PANEL)
    ] = False,
) -> None:
    """Name the options that all commands take; ``App`` adds them to each command's own."""


SHARED = {p.name: p for p in inspect.signature(_shared_options, eval_str=True).parameters.values()}


@dataclass
class Context:
    """What the shared options said, and the parts a command needs; lies in ``typer.Context.obj``."""

    data: Path | None = None
    config: Path | None = None
    overrides: list[str] = field(default_factory=list)
    json: bool = False
    console: Console = field(default_factory=Console)
    errors: Console = field(default_factory=lambda: Console(stderr=True))

    def take(
        self, *, data: Path | None, config: Path | None, overrides: list[str] | None, as_json: bool
    ) -> None:
        """Add what stood beside one more command word; the innermost wins."""
        self.data, self.config = data or self.data, config or self.config
        self.overrides += overrides or []
        self.json = self.json or as_json

    def settings(self, *overrides: str) -> Settings:
        """Return the validated settings; *overrides* (``key=value``) are a command's own options."""
        from botkit.config import load_settings

        return load_settings(self.data, self.config, [*self.overrides, *overrides])

    def plugins(self) -> Plugins:
        """Return the installed plugins, those that the settings disable left out."""
        from botkit.plugins import Plugins

        return Plugins.load(self.settings().plugins.disabled)

    def library(self) -> ModelLibrary:
        """Return the models of the data folder."""
        from botkit.engine.library import ModelLibrary

        return ModelLibrary(self.settings().data_dir / "models")

    def tell(self, line: str, facts: Any) -> None:
        """Print *line*, or *facts* where the answer is to be JSON."""
        if self.json:
            self.console.print(json.dumps(facts), markup=False, highlight=False, soft_wrap=True)
        else:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def complain(self, line: str) -> None:
        """Print *line* on standard error, as the program's own words."""
        shown = "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
        self.errors.print(f"botkit: {shown}", markup=False, highlight=False, soft_wrap=True)


class App(typer.Typer):
    """A group of commands, each of which takes the shared options besides its own.

    A command's function gets ``context: typer.Context`` first, with the ``Context`` in its ``obj``.  A named
    group takes the shared options, too, so that they may stand beside its own word.
    """

    def __init__(self, name: str | None = None, **settings: Any) -> None:
        """Make a group called *name*, or one command's place; see ``typer.Typer``."""
        super().__init__(name=name, **settings)
        if name:
            self.callback()(with_shared_options(_group))

    def command(self, *names: Any, **settings: Any) -> Callable[[F], F]:
        """Register a command; see ``typer.Typer.command``."""
        register = super().command(*names, **settings)

        def decorate(function: F) -> F:
            register(with_shared_options(function))
            return function

        return decorate


def _group(context: typer.Context) -> None:
    pass


def with_shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return *function* with the shared options in its signature; the ``Context`` takes them first."""
    own = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def command(context: typer.Context, **values: Any) -> Any:
        context.obj.take(**{name: values.pop(name) for name in SHARED})
        return function(context, **values)

    parameters = [*own.parameters.values(), *SHARED.values()]
    command.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    )
    return command

"""What is under an answer and before it: the buttons, and the commands that Discord offers by name.

Buttons carry all they need in their ``custom_id``, so one that an earlier process showed works as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import discord
import structlog
from discord import app_commands, ui

from botkit.types import CommandInfo
from botkit_discord.failures import FOREIGN, platform_error

log = structlog.get_logger(__name__)

STOP, REGENERATE = "botkit:stop", "botkit:regenerate"
PERSONAL = frozenset({"help", "privacy", "mydata", "forget"})
"""Commands whose answers only the person who asked is shown."""

Act = Callable[[discord.Interaction, str], Awaitable[None]]
"""Does what a line such as ``/model echo`` says."""


def buttons(*, final: bool) -> ui.View:
    """Return the buttons for an answer that is being written, or is *final*."""
    view = ui.View(timeout=None)
    if final:
        view.add_item(ui.Button(label="Regenerate", custom_id=REGENERATE))
    else:
        view.add_item(ui.Button(label="Stop", custom_id=STOP))
    # Presses are told by their custom_id; discord.py keeps every view that is not stopped for ever.
    view.stop()
    return view


def pressed(interaction: discord.Interaction) -> str | None:
    """Return the ``custom_id`` of what was pressed, if it is one of our buttons."""
    data: Any = interaction.data or {}
    name = data.get("custom_id")
    return name if name in (STOP, REGENERATE) else None


def add_commands(
    client: discord.Client, menu: Sequence[CommandInfo], act: Act
) -> app_commands.CommandTree[Any]:
    """Let *client* understand the commands of *menu*; *act* does what they say."""
    tree = app_commands.CommandTree(client)
    for one in menu:
        callback = _with_value(one.name, one.argument, act) if one.argument else _plain(one.name, act)
        command: Any = app_commands.Command(name=one.name, description=one.summary, callback=callback)
        tree.add_command(command)
    return tree


async def offer_commands(tree: app_commands.CommandTree[Any]) -> None:
    """Tell Discord of the commands, unless it knows them as they are: it takes few changes a day."""
    try:
        known = {one.name: (one.description, _options(one)) for one in await tree.fetch_commands()}
        ours: list[Any] = tree.get_commands()
        wanted = {one.name: (one.description, _options(one)) for one in ours}
        if known != wanted:
            await tree.sync()
            log.info("commands_offered", n_commands=len(wanted))
    except FOREIGN as error:
        log.warning("commands_not_offered", error=platform_error(error, "offering the commands").line())


def _options(command: Any) -> tuple[tuple[str, bool], ...]:
    """Return the arguments of a command of ours, or of one that Discord knows."""
    found = command.parameters if isinstance(command, app_commands.Command) else command.options
    return tuple((one.name, bool(one.required)) for one in found)


def _plain(name: str, act: Act) -> Any:
    async def callback(interaction: discord.Interaction) -> None:
        await act(interaction, f"/{name}")

    return callback


def _with_value(name: str, argument: str, act: Act) -> Any:
    @app_commands.describe(value=argument)
    async def callback(interaction: discord.Interaction, value: str | None = None) -> None:
        await act(interaction, f"/{name} {value or ''}".rstrip())

    return callback

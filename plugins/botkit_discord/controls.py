"""The buttons under an answer.

They carry all they need in their ``custom_id``, so one that was shown by an earlier process works as well.
"""

from __future__ import annotations

import discord
from discord import ui

STOP, REGENERATE = "botkit:stop", "botkit:regenerate"


def buttons(*, final: bool) -> ui.View:
    """Return the buttons for an answer that is written, or *final*."""
    view = ui.View(timeout=None)
    if final:
        view.add_item(ui.Button(label="Regenerate", custom_id=REGENERATE))
    else:
        view.add_item(ui.Button(label="Stop", custom_id=STOP))
    # Presses are told by their custom_id; discord.py keeps every view that is not stopped for ever.
    view.stop()
    return view


def pressed(interaction: discord.Interaction) -> str | None:
    """Return which of our buttons was pressed, or None if it is something else."""
    if interaction.type is not discord.InteractionType.component or not interaction.data:
        return None
    name = interaction.data.get("custom_id")
    return name if name in (STOP, REGENERATE) else None

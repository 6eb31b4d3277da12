"""The buttons under our messages, and what a press of one says."""

from __future__ import annotations

from typing import Literal

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

Buttons = Literal["none", "writing", "written"]
"""Which buttons a message has: ``writing`` one to stop, ``written`` one to write the answer anew."""

STOP, REGENERATE = "stop", "regenerate"

NO_BUTTONS = InlineKeyboardMarkup([])
_KEYBOARDS = {
    "none": NO_BUTTONS,
    "writing": InlineKeyboardMarkup([[InlineKeyboardButton("Stop", callback_data=STOP)]]),
    "written": InlineKeyboardMarkup([[InlineKeyboardButton("Regenerate", callback_data=REGENERATE)]]),
}


def keyboard(buttons: Buttons) -> InlineKeyboardMarkup:
    """Return the keyboard as the library takes it; one without buttons takes away what was there."""
    return _KEYBOARDS[buttons]

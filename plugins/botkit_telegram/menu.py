"""The commands that Telegram shows when somebody types a slash."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "help": "show what I understand",
    "reset": "forget the conversation so far",
    "model": "show the model, or choose another",
    "stop": "stop the answer that is being written",
    "regenerate": "write the last answer anew",
}
"""Name and summary of each.  The core's list is out of a plugin's reach; a test holds them together."""

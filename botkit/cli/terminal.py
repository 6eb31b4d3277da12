"""The terminal as a platform: where an answer is printed as it grows."""

from __future__ import annotations

import getpass
import uuid
from datetime import UTC, datetime
from typing import TextIO

from botkit.types import ConversationKey, Limits, Message, Person, Place

PLATFORM, BOT = "terminal", "botkit"


def message_of(text: str, *, chat: str) -> Message:
    """Return what the person at the terminal said in the conversation *chat*."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container without an entry for its user
        name = "user"
    return Message(
        event_id=uuid.uuid4().hex,
        conversation=ConversationKey(PLATFORM, BOT, chat),
        sender=Person(PLATFORM, name, name),
        text=text,
        sent_at=datetime.now(UTC),
        private=True,
    )


class TerminalReply:
    """Prints an answer piece by piece; implements ``botkit.protocols.Reply``."""

    limits = Limits(edit_interval_s=0.03)

    def __init__(self, out: TextIO | None, notes: TextIO | None = None) -> None:
        """Print to *out* (None: only remember) and the place in line to *notes*."""
        self._out, self._notes = out, notes
        self.text = ""

    async def send(self, text: str, *, final: bool) -> str:
        """Begin to print."""
        self._print(text, final)
        return "1"

    async def edit(self, receipt: str, text: str, *, final: bool) -> None:
        """Print what was added."""
        self._print(text, final)

    async def typing(self) -> None:
        """Show nothing: the cursor waits where the answer will be."""

    async def waiting(self, place: Place) -> None:
        """Tell the place in line."""
        if self._notes is not None:
            about = f", about {place.wait_s:.0f} s" if place.wait_s else ""
            self._notes.write(f"({place.before} before you{about})\n")
            self._notes.flush()

    def _print(self, text: str, final: bool) -> None:
        shown, self.text = self.text, text
        if self._out is None:
            return
        # Where a filter changed what was shown already, a terminal cannot take it back: all is said anew.
        new = text[len(shown) :] if text.startswith(shown) else f"\n{text}"
        self._out.write(new + ("\n" if final else ""))
        self._out.flush()

"""The terminal as a platform: where an answer is printed as it grows."""

from __future__ import annotations

import getpass
import uuid
from datetime import UTC, datetime
from typing import TextIO

from botkit.chat.filters import clean
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
        text = clean(text)  # a model may not move the cursor
        shown, self.text = self.text, text
        if self._out is None:
            return
        # Where a filter changed what was shown already, a terminal cannot take it back: all is said anew.
        new = text[len(shown) :] if text.startswith(shown) else f"\n{text}"
        self._out.write(new + ("\n" if final else ""))
        self._out.flush()


class OnceReply(TerminalReply):
    """Prints an answer for a script: its last words wait until it is known that they are the answer's."""

    def __init__(self, out: TextIO | None) -> None:
        """Print to *out*."""
        super().__init__(out)
        self._last: str | None = None

    async def send(self, text: str, *, final: bool) -> str:
        """Begin to print, unless the text may be a refusal."""
        return await super().send(text, final=False) if not final else self._keep(text)

    async def edit(self, receipt: str, text: str, *, final: bool) -> None:
        """Print what was added."""
        if final:
            self._keep(text)
        else:
            await super().edit(receipt, text, final=False)

    def conclude(self, *, is_answer: bool) -> str:
        """Print the rest of an answer; of anything else, return what is left as one line for the caller."""
        shown, last = self.text, clean(self._last or "")
        if is_answer:
            self._print(last, final=True)
            return ""
        if shown and self._out is not None:
            self._out.write("\n")
            self._out.flush()
        self.text = last
        return " ".join(last.removeprefix(shown).split())

    def _keep(self, text: str) -> str:
        self._last = text
        return "1"

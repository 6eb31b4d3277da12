"""An answer in a chat of Telegram; implements ``protocols.Reply``."""

from __future__ import annotations

from collections.abc import Callable

from botkit.types import Limits, Place
from botkit_telegram.calls import Calls
from botkit_telegram.keyboard import Buttons
from botkit_telegram.markdown import MAX_UNITS, Rendered, render
from botkit_telegram.spot import Spot

EDIT_INTERVAL_S = 1.2
TYPING_INTERVAL_S = 4.0
PLACEHOLDER = "\N{HORIZONTAL ELLIPSIS}"
"""What a message says first: were it a part of the answer, a kill before its id is stored would double it."""


class TelegramReply:
    """Answers the message at *spot*, in its chat and topic.  Receipts are the ids of our messages."""

    limits = Limits(
        max_units=MAX_UNITS,
        edit_interval_s=EDIT_INTERVAL_S,
        typing_interval_s=TYPING_INTERVAL_S,
        lasting=True,
        placeholder=PLACEHOLDER,
    )

    def __init__(
        self,
        calls: Calls,
        spot: Spot,
        *,
        regenerable: bool,
        newest: int | None,
        sent: Callable[[int], None],
    ) -> None:
        """Answer through *calls*; *regenerable* answers get a button to write them anew.

        *newest* is the last message that an earlier process left of the answer; *sent* is told the id of
        each new one.
        """
        self._sent = sent
        self._calls, self._spot = calls, spot
        self._written: Buttons = "written" if regenerable else "none"
        self._newest = newest
        self._moved: dict[str, int | None] = {}

    async def send(self, text: str, *, final: bool) -> str:
        """Send *text* as a reply and return the id of the message."""
        before = self._newest
        self._newest = await self._calls.send(self._spot, render(text), self._buttons(final))
        self._sent(self._newest)
        if before is not None and self._written != "none":
            await self._calls.take_buttons(self._at(before))
        return str(self._newest)

    async def edit(self, receipt: str, text: str, *, final: bool) -> None:
        """Let our message *receipt* say *text*; where somebody took it away, the final text comes anew.

        An intermediate text is left out where the budgets are short: another one will come.
        """
        message_id = self._moved.get(receipt, int(receipt))
        if message_id is not None:
            self._newest = message_id
            spot, buttons = self._at(message_id), self._buttons(final)
            if await self._calls.edit(spot, render(text), buttons, essential=final):
                return
            self._moved[receipt] = None
        if final:
            self._moved[receipt] = int(await self.send(text, final=True))

    async def typing(self) -> None:
        """Show that somebody is typing."""
        await self._calls.typing(self._spot)

    async def waiting(self, place: Place) -> None:
        """Show the place in line in the message that the answer will be written into."""
        if self._newest is not None:
            shown = Rendered(place_line(place))
            await self._calls.edit(self._at(self._newest), shown, "writing", essential=False)

    def _at(self, message_id: int) -> Spot:
        return Spot(self._spot.chat_id, message_id, self._spot.thread_id)

    def _buttons(self, final: bool) -> Buttons:
        return self._written if final else "writing"


def place_line(place: Place) -> str:
    """Return a place in line as people read it."""
    where = f"{place.before} before you" if place.before else "You are next"
    return f"{where}, about {max(1, round(place.wait_s))} s" if place.wait_s > 0 else where

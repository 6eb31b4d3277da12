"""Our side of an exchange on Discord: messages that answer one of theirs, edited while the text grows.

Nothing is sent twice: the nonce of each message is derived from the event and the number of the part, and
Discord answers a nonce that it saw in the last minutes with the message it made then.  What is older is
looked up in the channel's history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import discord

from botkit.errors import PlatformError
from botkit.protocols import Clock
from botkit.types import Limits, Place
from botkit_discord.controls import buttons
from botkit_discord.events import EventName
from botkit_discord.failures import MessageGone
from botkit_discord.line import Line

LIMITS = Limits(max_units=2000, edit_interval_s=1.2, can_edit=True, typing_interval_s=8.0, lasting=True)
"""Discord allows about five messages and five edits in five seconds, in one channel."""
NOBODY = discord.AllowedMentions.none()
MAX_HISTORY = 100


class DiscordReply:
    """Where the answer to one event is shown; implements ``protocols.Reply``."""

    limits = LIMITS

    def __init__(
        self,
        line: Line,
        clock: Clock,
        event: EventName,
        *,
        receipts: Sequence[str] = (),
        is_resumed: bool = False,
        has_buttons: bool = False,
    ) -> None:
        """Answer *event*.

        *receipts* are messages of the answer that are there already.  A reply that *is_resumed* looks for
        more of them before it sends.
        """
        self._line, self._clock = line, clock
        self._event, self._channel_id = event, event.channel_id
        self._known = list(receipts)
        self._n_sent = len(self._known)
        self._is_resumed, self._has_buttons = is_resumed, has_buttons
        self._moved: dict[str, str] = {}
        self._placeholder: str | None = None
        self._placed_s = -math.inf

    async def send(self, text: str, *, final: bool) -> str:
        """Show *text* as a new message, in place of the one that shows the place in line; return its id."""
        receipt = await self._waiting_message()
        if receipt is None:
            receipt = await self._post(text, self._nonce(), final=final)
        else:
            await self.edit(receipt, text, final=final)
        self._placeholder = None
        if self._has_buttons and self._known:
            await self._take_buttons(self._known[-1])
        self._known.append(receipt)
        self._n_sent += 1
        return receipt

    async def edit(self, receipt: str, text: str, *, final: bool) -> None:
        """Replace the text of the message *receipt*; if somebody deleted it, go on in a new one."""
        current = self._moved.get(receipt, receipt)
        try:
            await self._edit(current, text, final=final)
        except MessageGone:
            self._moved[receipt] = await self._post(text, f"{current}-x", final=final)

    async def typing(self) -> None:
        """Show that an answer is being written, for about ten seconds."""

        async def type_(client: discord.Client) -> None:
            await client.get_partial_messageable(self._channel_id).typing()

        await self._line.call("showing that I type", type_, patient=False)

    async def waiting(self, place: Place) -> None:
        """Show the place in line in the message that the answer will take, at the pace of edits."""
        now_s = self._clock.monotonic()
        if place.before < 1 or now_s - self._placed_s < self.limits.edit_interval_s:
            return
        text = f"{place.before} before you, about {max(1, round(place.wait_s))} s"
        if self._placeholder is None:
            self._placeholder = await self._waiting_message()
        if self._placeholder is None:
            self._placeholder = await self._post(text, self._nonce(), final=False)
        else:
            await self.edit(self._placeholder, text, final=False)
        self._placed_s = now_s

    def _nonce(self) -> str:
        """Return the name of the next part: at most 25 characters, the same in every process."""
        return f"{self._event.own_id}-{self._n_sent}"

    async def _waiting_message(self) -> str | None:
        """Return a message that is there already and is to say the next part, if there is one."""
        if self._placeholder is not None:
            return self._placeholder
        if not (self._is_resumed and self._event.is_message):
            return None
        self._is_resumed = False
        found = await self._line.call("reading the channel", self._earlier)
        self._placeholder = next((one for one in found if one not in self._known), None)
        return self._placeholder

    async def _earlier(self, client: discord.Client) -> list[str]:
        """Return our answers to the message, oldest first."""
        bot = client.user
        history = client.get_partial_messageable(self._channel_id).history(
            limit=MAX_HISTORY, after=discord.Object(self._event.own_id), oldest_first=True
        )
        return [
            str(one.id)
            async for one in history
            if bot is not None
            and one.author.id == bot.id
            and one.reference is not None
            and one.reference.message_id == self._event.own_id
        ]

    async def _post(self, text: str, nonce: str, *, final: bool) -> str:
        async def send(client: discord.Client) -> discord.Message:
            channel = client.get_partial_messageable(self._channel_id)
            return await channel.send(
                text,
                nonce=nonce,
                allowed_mentions=NOBODY,
                suppress_embeds=True,
                **self._reference(),
                **self._view(final=final),
            )

        try:
            sent = await self._line.call("sending", send)
        except MessageGone:  # Discord's answer to the nonce of a message that was deleted
            return await self._post(text, f"{nonce}x", final=final)
        if sent.content.strip() != text.strip():  # an earlier process sent this part, with an earlier text
            await self._edit(str(sent.id), text, final=final)
        return str(sent.id)

    async def _edit(self, receipt: str, text: str, *, final: bool) -> None:
        async def edit(client: discord.Client) -> None:
            message = client.get_partial_messageable(self._channel_id).get_partial_message(int(receipt))
            await message.edit(content=text, allowed_mentions=NOBODY, **self._view(final=final))

        # A newer text follows one that is not final: trying again would only delay it.
        await self._line.call("editing", edit, patient=final)

    async def _take_buttons(self, receipt: str) -> None:
        """Leave the buttons to the newest message; one that keeps them is no harm."""
        current = int(self._moved.get(receipt, receipt))

        async def edit(client: discord.Client) -> None:
            message = client.get_partial_messageable(self._channel_id).get_partial_message(current)
            await message.edit(view=None, allowed_mentions=NOBODY)

        with suppress(PlatformError):
            await self._line.call("taking buttons away", edit, patient=False)

    def _reference(self) -> dict[str, Any]:
        """Return what makes a message an answer; it is sent as well if the question is gone meanwhile."""
        if not self._event.is_message:
            return {}
        own_id = self._event.own_id
        reference = discord.MessageReference(
            message_id=own_id, channel_id=self._channel_id, fail_if_not_exists=False
        )
        return {"reference": reference}

    def _view(self, *, final: bool) -> dict[str, Any]:
        return {"view": buttons(final=final)} if self._has_buttons else {}


class InteractionReply(DiscordReply):
    """Where the answer to a slash command is shown: in place of "thinking", then as any other.

    Discord takes the first message for a quarter of an hour; the others are plain messages of the channel.
    """

    def __init__(self, interaction: discord.Interaction, *arguments: Any, **options: Any) -> None:
        """Answer *interaction*, which was deferred; the rest is a DiscordReply's."""
        super().__init__(*arguments, **options)
        self._interaction = interaction

    async def _post(self, text: str, nonce: str, *, final: bool) -> str:
        if self._n_sent:
            return await super()._post(text, nonce, final=final)

        async def answer(_: discord.Client) -> discord.InteractionMessage:
            return await self._interaction.edit_original_response(content=text, allowed_mentions=NOBODY)

        return str((await self._line.call("answering a command", answer)).id)

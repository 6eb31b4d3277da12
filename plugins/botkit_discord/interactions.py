"""What people do with buttons and slash commands, as messages to the core.

Discord wants a sign within three seconds, so each interaction is acknowledged before anything else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import discord
import structlog

from botkit.protocols import ChatService, Reply
from botkit.types import ConversationKey, Message
from botkit_discord.controls import PERSONAL, REGENERATE, STOP, pressed
from botkit_discord.events import PLATFORM, EventName, person
from botkit_discord.failures import FOREIGN, platform_error
from botkit_discord.intake import Intake

log = structlog.get_logger(__name__)

ReplyTo = Callable[[Message, discord.Interaction | None], Reply]


class Interactions:
    """Serves the interactions of one bot."""

    def __init__(
        self, service: ChatService, intake: Intake, bot: discord.abc.User, reply_to: ReplyTo
    ) -> None:
        """Hand commands to *intake*; *reply_to* gives the place of an answer."""
        self._service, self._intake, self._bot, self._reply_to = service, intake, bot, reply_to

    async def press(self, interaction: discord.Interaction) -> None:
        """Do what a button is for; what is not ours is left alone."""
        name = pressed(interaction)
        if name is None or not await _acknowledged(interaction.response.defer()):
            return
        if name == STOP:
            await self._service.stop(await self._message(interaction, "/stop"))
        elif name == REGENERATE:
            message = await self._message(interaction, "/regenerate")
            await self._intake.accept(message, self._reply_to(message, None))

    async def command(self, interaction: discord.Interaction, line: str) -> None:
        """Do what a slash command says, and answer in its place."""
        is_personal = line[1:].partition(" ")[0] in PERSONAL
        if await _acknowledged(interaction.response.defer(thinking=True, ephemeral=is_personal)):
            message = await self._message(interaction, line)
            await self._intake.accept(message, self._reply_to(message, interaction))

    async def _message(self, interaction: discord.Interaction, line: str) -> Message:
        channel_id = interaction.channel_id or 0
        place = await self._intake.places.of(interaction.channel or discord.Object(channel_id))
        under = interaction.message
        return Message(
            event_id=str(EventName(channel_id, interaction.id, is_message=False)),
            conversation=ConversationKey(PLATFORM, str(self._bot.id), place.chat, place.thread),
            sender=person(interaction.user),
            text=line,
            sent_at=interaction.created_at,
            reply_to=await self._intake.trees.root(under) if under is not None else None,
            private=place.private,
        )


async def _acknowledged(acknowledging: Awaitable[object]) -> bool:
    """Acknowledge an interaction; tell whether it was still there."""
    try:
        await acknowledging
    except FOREIGN as error:
        log.warning("interaction_lost", error=platform_error(error, "acknowledging a command").line())
        return False
    return True

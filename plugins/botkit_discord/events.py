"""From what discord.py delivers to the ``Message`` that botkit carries."""

from __future__ import annotations

import re
from dataclasses import dataclass

import discord

from botkit.types import ConversationKey, Message, Person
from botkit_discord.places import Place

PLATFORM = "discord"
INTERACTION = "i"
MENTION = re.compile(r"<@!?(\d+)>")
TALK = frozenset({discord.MessageType.default, discord.MessageType.reply})


@dataclass(frozen=True, slots=True)
class EventName:
    """What an event is called in the store: its channel and its own id, which together say where to answer.

    Discord's id alone would be unique, but an answer that is finished after a restart must find its channel.
    """

    channel_id: int
    own_id: int
    is_message: bool = True

    def __str__(self) -> str:
        return f"{self.channel_id}/{'' if self.is_message else INTERACTION}{self.own_id}"

    @classmethod
    def parse(cls, name: str) -> EventName:
        """Return the event called *name*."""
        channel_id, _, own_id = name.partition("/")
        return cls(int(channel_id), int(own_id.removeprefix(INTERACTION)), not own_id.startswith(INTERACTION))


def person(author: discord.abc.User) -> Person:
    """Return who wrote."""
    return Person(PLATFORM, str(author.id), author.display_name, is_bot=author.bot)


def is_talk(event: discord.Message) -> bool:
    """Tell whether a person said this; joins, pins, webhooks and bots (ourselves among them) are no talk."""
    return event.type in TALK and event.webhook_id is None and not event.author.bot


def message_of(
    event: discord.Message, bot: discord.abc.User, place: Place, *, root: str | None = None
) -> Message:
    """Return what a person said, as botkit carries it; *root* is the event their reply goes back to."""
    return Message(
        event_id=str(EventName(event.channel.id, event.id)),
        conversation=ConversationKey(PLATFORM, str(bot.id), place.chat, place.thread),
        sender=person(event.author),
        text=text_of(event, bot),
        sent_at=event.created_at,
        addressed=place.private or is_addressed(event, bot),
        reply_to=root,
        private=place.private,
    )


def is_addressed(event: discord.Message, bot: discord.abc.User) -> bool:
    """Tell whether *event* mentions *bot*, by itself or by the role that is its own, or answers it."""
    if bot.id in event.raw_mentions or any(one.id == bot.id for one in event.mentions):
        return True
    if any(role.tags is not None and role.tags.bot_id == bot.id for role in event.role_mentions):
        return True
    answered = event.reference.resolved if event.reference else None
    return isinstance(answered, discord.Message) and answered.author.id == bot.id


def text_of(event: discord.Message, bot: discord.abc.User) -> str:
    """Return the words of *event*, without the bot's name at either end, other mentions as names."""
    own = rf"<@!?{bot.id}>"
    text = re.sub(rf"^\s*(?:{own}[\s,:]*)+|(?:\s*{own})+\s*$", "", event.content)
    names = {str(one.id): one.display_name for one in (bot, *event.mentions)}
    return MENTION.sub(lambda match: f"@{names.get(match[1], 'somebody')}", text).strip()

"""What there is on the fake Discord: people, servers, channels and what was said in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from botkit.protocols import Clock

Json = dict[str, Any]

EPOCH_MS = 1_420_070_400_000
"""Discord's ids count the milliseconds since the beginning of 2015 in their upper bits."""


class ChannelKind(IntEnum):
    """Discord's numbers for the channels that the fake knows."""

    TEXT = 0
    DIRECT = 1
    THREAD = 11


@dataclass(eq=False)
class User:
    """Somebody; ``takes_direct_messages`` false refuses what a bot sends them privately."""

    id: int
    name: str
    is_bot: bool = False
    takes_direct_messages: bool = True

    @property
    def mention(self) -> str:
        """What is written to call them."""
        return f"<@{self.id}>"


@dataclass(eq=False)
class Bot(User):
    """A bot, known by its token; ``message_content`` tells whether the intent was granted to it."""

    token: str = field(default="", repr=False)
    message_content: bool = True
    commands: dict[int, list[Json]] = field(default_factory=dict, repr=False)
    """Application commands by guild; the global ones are under 0."""


@dataclass(eq=False)
class Guild:
    """A server; everybody may do everything in it, except what a channel denies."""

    id: int
    name: str
    owner: User
    members: list[User] = field(default_factory=list, repr=False)
    channels: list[Channel] = field(default_factory=list, repr=False)
    bot_roles: dict[int, int] = field(default_factory=dict)
    is_available: bool = True


@dataclass(eq=False)
class Channel:
    """A text channel, a thread or a direct message; ``denied`` names permissions that nobody has here."""

    id: int
    kind: ChannelKind
    name: str = ""
    guild: Guild | None = field(default=None, repr=False)
    parent: Channel | None = field(default=None, repr=False)
    people: tuple[User, ...] = ()
    owner: User | None = field(default=None, repr=False)
    posted: dict[int, Posted] = field(default_factory=dict, repr=False)
    last_message_id: int | None = None
    denied: set[str] = field(default_factory=set)
    is_archived: bool = False
    is_locked: bool = False
    changed_at: datetime | None = None

    def denies(self, permission: str) -> bool:
        """Tell whether *permission* is denied here, or in the channel of a thread."""
        return permission in self.denied or (self.parent is not None and self.parent.denies(permission))


@dataclass(eq=False)
class Attachment:
    """A file of a message."""

    id: int
    name: str
    content: bytes
    content_type: str = "application/octet-stream"


@dataclass(eq=False)
class Posted:
    """A message as it stands; ``edits`` has every version of its text, the first one included."""

    id: int
    channel: Channel
    author: User
    text: str
    at: datetime
    kind: int = 0
    reply_to: int | None = None
    nonce: str | None = None
    components: list[Json] = field(default_factory=list)
    embeds: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    allowed_mentions: Json | None = None
    pinged: list[User] = field(default_factory=list)
    pinged_roles: list[int] = field(default_factory=list)
    pings_everyone: bool = False
    flags: int = 0
    interaction: Json | None = None
    thread: Channel | None = field(default=None, repr=False)
    edits: list[str] = field(default_factory=list)
    edited_at: datetime | None = None
    is_deleted: bool = False

    @property
    def from_bot(self) -> bool:
        """Whether a bot wrote it."""
        return self.author.is_bot

    @property
    def is_ephemeral(self) -> bool:
        """Whether only the person who asked sees it."""
        return bool(self.flags & 64)

    @property
    def is_thinking(self) -> bool:
        """Whether it is a deferred answer that has not come yet."""
        return bool(self.flags & 128)

    @property
    def buttons(self) -> list[Json]:
        """Its buttons, as Discord's JSON: ``label``, ``custom_id``, ``disabled``."""
        return [one for row in self.components for one in row.get("components", ()) if one.get("type") == 2]


@dataclass(frozen=True)
class Event:
    """Something that happened; ``data`` is made by the gateway, for each bot that may know."""

    name: str
    guild: Guild | None = None
    channel: Channel | None = None
    message: Posted | None = None
    data: Json = field(default_factory=dict)
    only: User | None = None


class World:
    """Holds everything, and tells *tell* about each change.  Ids rise, so they order what happened."""

    def __init__(self, clock: Clock, tell: Callable[[Event], None]) -> None:
        """Begin empty."""
        self.clock, self._tell = clock, tell
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.deleted: list[Posted] = []
        self._last_id = 0

    def new_id(self) -> int:
        """Return an id that is greater than all before."""
        now_ms = int(self.clock.now().timestamp() * 1000)
        self._last_id = max(self._last_id + 1, (now_ms - EPOCH_MS) << 22)
        return self._last_id

    def bots(self) -> Iterable[Bot]:
        """Return all bots."""
        return [one for one in self.users.values() if isinstance(one, Bot)]

    def add_user(self, user: User) -> None:
        """Let somebody exist."""
        self.users[user.id] = user

    def add_guild(self, name: str, owner: User, members: Iterable[User]) -> Guild:
        """Open a server; its bots get a role of their own each, as on Discord."""
        guild = Guild(self.new_id(), name, owner, [owner, *members])
        guild.bot_roles = {one.id: self.new_id() for one in guild.members if one.is_bot}
        self.guilds[guild.id] = guild
        self._tell(Event("GUILD_CREATE", guild))
        return guild

    def add_channel(self, guild: Guild, name: str) -> Channel:
        """Open a text channel."""
        channel = Channel(self.new_id(), ChannelKind.TEXT, name, guild)
        guild.channels.append(channel)
        self.channels[channel.id] = channel
        self._tell(Event("CHANNEL_CREATE", guild, channel))
        return channel

    def add_thread(self, parent: Channel, name: str, owner: User, *, of: Posted | None = None) -> Channel:
        """Open a thread in *parent*; one that hangs on the message *of* has the same id as that."""
        number = of.id if of else self.new_id()
        thread = Channel(number, ChannelKind.THREAD, name, parent.guild, parent, owner=owner)
        thread.changed_at = self.clock.now()
        self.channels[thread.id] = thread
        if of is not None:
            of.thread = thread
            of.flags |= 32
        self._tell(Event("THREAD_CREATE", parent.guild, thread))
        return thread

    def direct(self, one: User, other: User) -> Channel:
        """Return the direct channel of two, and open it where there is none."""
        for channel in self.channels.values():
            if channel.kind is ChannelKind.DIRECT and {*channel.people} == {one, other}:
                return channel
        channel = Channel(self.new_id(), ChannelKind.DIRECT, people=(one, other))
        self.channels[channel.id] = channel
        return channel

    def threads(self, guild: Guild) -> list[Channel]:
        """Return the open threads of *guild*."""
        everything = self.channels.values()
        return [
            one
            for one in everything
            if one.guild is guild and one.kind is ChannelKind.THREAD and not one.is_archived
        ]

    def change_channel(self, channel: Channel) -> None:
        """Tell that *channel* is not what it was."""
        channel.changed_at = self.clock.now()
        name = "THREAD_UPDATE" if channel.kind is ChannelKind.THREAD else "CHANNEL_UPDATE"
        self._tell(Event(name, channel.guild, channel))

    def post(self, message: Posted) -> Posted:
        """Put *message* into its channel, which opens again if it was archived."""
        channel = message.channel
        if channel.is_archived:
            channel.is_archived = False
            self.change_channel(channel)
        message.edits.append(message.text)
        channel.posted[message.id] = message
        channel.last_message_id = message.id
        self._tell(Event("MESSAGE_CREATE", channel.guild, channel, message))
        return message

    def rewrite(self, message: Posted) -> None:
        """Tell that *message* was changed; a new text is kept as one more version."""
        if message.text != message.edits[-1]:
            message.edits.append(message.text)
        message.edited_at = self.clock.now()
        self._tell(Event("MESSAGE_UPDATE", message.channel.guild, message.channel, message))

    def remove(self, message: Posted) -> None:
        """Take *message* away."""
        del message.channel.posted[message.id]
        message.is_deleted = True
        self.deleted.append(message)
        self._tell(Event("MESSAGE_DELETE", message.channel.guild, message.channel, message))

    def tell(self, event: Event) -> None:
        """Tell about something that changes nothing here."""
        self._tell(event)

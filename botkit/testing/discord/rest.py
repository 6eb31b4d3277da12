"""The calls about messages, channels and servers."""

from __future__ import annotations

from collections.abc import Callable

from botkit.testing.discord import drafts, payloads
from botkit.testing.discord.calls import Call
from botkit.testing.discord.refusal import (
    Refusal,
    invalid_form,
    missing_access,
    missing_permissions,
    unknown,
    unknown_channel,
    unknown_message,
)
from botkit.testing.discord.world import Bot, Channel, ChannelKind, Guild, Json, Posted, World

NONCE_KEPT_S = 300.0


class Rest:
    """Carries calls out; each returns the JSON of the answer, or None where there is none."""

    def __init__(self, world: World, base_url: Callable[[], str]) -> None:
        """Work on *world*; *base_url* is where the fake is."""
        self._world, self._base_url = world, base_url
        self.typing: list[tuple[Channel, float]] = []

    def me(self, call: Call) -> Json:
        """Tell a bot who it is."""
        return payloads.own_user_json(call.bot)

    def application(self, call: Call) -> Json:
        """Tell a bot what application it belongs to."""
        return payloads.application_json(call.bot)

    def gateway(self, _: Call) -> Json:
        """Tell where the Gateway is."""
        url = self._base_url().replace("http", "ws", 1) + "/gateway/"
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        return {"url": url, "shards": 1, "session_start_limit": limit}

    def user(self, call: Call) -> Json:
        """Tell about somebody."""
        user = self._world.users.get(call.number("user"))
        if user is None:
            raise unknown("User", 10013)
        return payloads.user_json(user)

    def open_direct(self, call: Call) -> Json:
        """Open a direct message."""
        user = self._world.users.get(int(call.body.get("recipient_id", 0)))
        if user is None:
            raise unknown("User", 10013)
        return payloads.channel_json(self._world.direct(call.bot, user))

    def guild(self, call: Call) -> Json:
        """Tell about a server."""
        guild = self._guild(call)
        return payloads.guild_json(guild, call.bot, self._world.threads(guild))

    def guild_channels(self, call: Call) -> list[Json]:
        """Tell about the channels of a server."""
        return [payloads.channel_json(one) for one in self._guild(call).channels]

    def guild_threads(self, call: Call) -> Json:
        """Tell about the open threads of a server."""
        threads = [payloads.channel_json(one) for one in self._world.threads(self._guild(call))]
        return {"threads": threads, "members": []}

    def guild_member(self, call: Call) -> Json:
        """Tell about somebody in a server."""
        guild = self._guild(call)
        for one in guild.members:
            if one.id == call.number("user"):
                return {**payloads.member_json(guild, one), "user": payloads.user_json(one)}
        raise unknown("Member", 10007)

    def channel(self, call: Call) -> Json:
        """Tell about a channel."""
        return payloads.channel_json(self._channel(call))

    def change_channel(self, call: Call) -> Json:
        """Rename, archive or lock."""
        channel = self._channel(call)
        channel.name = call.body.get("name", channel.name)
        channel.is_archived = call.body.get("archived", channel.is_archived)
        channel.is_locked = call.body.get("locked", channel.is_locked)
        self._world.change_channel(channel)
        return payloads.channel_json(channel)

    def send(self, call: Call) -> Json:
        """Post a message, or return the one that was posted with the same nonce some minutes ago."""
        channel = self._channel(call, "send_messages")
        if channel.is_archived and channel.is_locked:
            raise Refusal(400, 50083, "Tried to perform an operation on an archived thread")
        closed = [one for one in channel.people if not one.takes_direct_messages]
        if closed:
            raise Refusal(403, 50007, "Cannot send messages to this user")
        earlier = self._sent_before(channel, call)
        if earlier is not None:
            return self._json(earlier)
        return self._json(self._world.post(drafts.drafted(self._world, channel, call.bot, call)))

    def edit(self, call: Call) -> Json:
        """Change one of the bot's own messages."""
        channel = self._channel(call)
        message = self._message(channel, call)
        if message.author is not call.bot:
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        if channel.is_archived:
            raise Refusal(400, 50083, "Tried to perform an operation on an archived thread")
        drafts.changed(self._world, message, call)
        self._world.rewrite(message)
        return self._json(message)

    def delete(self, call: Call) -> None:
        """Take a message away."""
        channel = self._channel(call)
        message = self._message(channel, call)
        if message.author is not call.bot and (not channel.guild or channel.denies("manage_messages")):
            raise missing_permissions()
        self._world.remove(message)

    def show_typing(self, call: Call) -> None:
        """Show that the bot is typing."""
        channel = self._channel(call, "send_messages")
        self.typing.append((channel, call.at_s))

    def history(self, call: Call) -> list[Json]:
        """Return messages, newest first: before, after or around one."""
        channel = self._channel(call)
        if channel.denies("read_message_history"):
            return []  # Discord refuses nothing here, there is just nothing to see
        limit = int(call.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise invalid_form("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        found = sorted(one for one, message in channel.posted.items() if not message.is_ephemeral)
        if "after" in call.query:
            after = int(call.query["after"])
            chosen = [one for one in found if one > after][:limit]
        elif "around" in call.query:
            around = int(call.query["around"])
            nearest = sorted(found, key=lambda one: abs(one - around))[:limit]
            chosen = sorted(nearest)
        else:
            before = int(call.query.get("before", 1 << 63))
            chosen = [one for one in found if one < before][-limit:]
        return [self._json(channel.posted[one]) for one in reversed(chosen)]

    def message(self, call: Call) -> Json:
        """Return one message."""
        channel = self._channel(call)
        if channel.denies("read_message_history"):
            raise missing_permissions()
        return self._json(self._message(channel, call))

    def start_thread(self, call: Call) -> Json:
        """Open a thread, on a message if one is named."""
        channel = self._channel(call, "create_public_threads")
        if channel.kind is not ChannelKind.TEXT:
            raise Refusal(400, 50024, "Cannot execute action on this channel type")
        message = self._message(channel, call) if "message" in call.where else None
        if message is not None and message.thread is not None:
            raise Refusal(400, 160004, "A thread has already been created for this message")
        name = call.body.get("name") or ""
        if not 1 <= len(name) <= 100:
            raise invalid_form("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
        return payloads.channel_json(self._world.add_thread(channel, name, call.bot, of=message))

    def nothing(self, call: Call) -> None:
        """Accept a call that shows nowhere: reactions, joining a thread."""
        self._channel(call)

    def _sent_before(self, channel: Channel, call: Call) -> Posted | None:
        nonce = drafts.checked_nonce(call.body)
        if nonce is None or not call.body.get("enforce_nonce"):
            return None
        now = self._world.clock.now()
        everything = [
            *channel.posted.values(),
            *(one for one in self._world.deleted if one.channel is channel),
        ]
        for message in everything:
            is_recent = (now - message.at).total_seconds() < NONCE_KEPT_S
            if message.nonce == nonce and message.author is call.bot and is_recent:
                return message
        return None

    def _channel(self, call: Call, permission: str = "view_channel") -> Channel:
        channel = self._world.channels.get(call.number("channel"))
        if channel is None:
            raise unknown_channel()
        if not _is_in(call.bot, channel) or channel.denies("view_channel"):
            raise missing_access()
        if permission == "send_messages" and channel.kind is ChannelKind.THREAD:
            permission = "send_messages_in_threads"
        if channel.denies(permission):
            raise missing_permissions()
        return channel

    def _guild(self, call: Call) -> Guild:
        guild = self._world.guilds.get(call.number("guild"))
        if guild is None or call.bot not in guild.members:
            raise unknown("Guild", 10004)
        return guild

    def _message(self, channel: Channel, call: Call) -> Posted:
        message = channel.posted.get(call.number("message"))
        if message is None:
            raise unknown_message()
        return message

    def _json(self, message: Posted) -> Json:
        return payloads.message_json(message, self._base_url())


def _is_in(bot: Bot, channel: Channel) -> bool:
    return bot in (channel.guild.members if channel.guild else channel.people)

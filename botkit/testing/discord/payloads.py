"""What the world looks like in Discord's JSON."""

from __future__ import annotations

from datetime import datetime

from botkit.testing.discord.world import Attachment, Bot, Channel, ChannelKind, Guild, Json, Posted, User

PERMISSIONS = {
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "manage_messages": 1 << 13,
    "attach_files": 1 << 15,
    "read_message_history": 1 << 16,
    "create_public_threads": 1 << 35,
    "send_messages_in_threads": 1 << 38,
}
ALL_PERMISSIONS = str((1 << 50) - 1 - (1 << 3))  # all but administrator, which nothing could be denied to
LONG_AGO = "2020-01-01T00:00:00+00:00"


def when(at: datetime | None) -> str | None:
    """Return a time as Discord writes it."""
    return at.isoformat() if at else None


def user_json(user: User) -> Json:
    """Return *user* as everybody sees them."""
    return {
        "id": str(user.id),
        "username": user.name,
        "global_name": None,
        "discriminator": "0",
        "avatar": None,
        "bot": user.is_bot,
        "public_flags": 0,
    }


def own_user_json(bot: Bot) -> Json:
    """Return *bot* as it sees itself."""
    return {**user_json(bot), "verified": True, "mfa_enabled": False, "flags": 0, "locale": "en-US"}


def application_json(bot: Bot) -> Json:
    """Return the application of *bot*; its id is the bot's, as on Discord."""
    return {
        "id": str(bot.id),
        "name": bot.name,
        "description": "",
        "icon": None,
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": 1 << 19 if bot.message_content else 0,
        "owner": user_json(bot),
        "team": None,
        "rpc_origins": [],
        "hook": True,
        "summary": "",
    }


def member_json(guild: Guild, user: User) -> Json:
    """Return what *user* is in *guild*, without the user."""
    role = guild.bot_roles.get(user.id)
    return {
        "roles": [str(role)] if role else [],
        "nick": None,
        "avatar": None,
        "joined_at": LONG_AGO,
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
    }


def guild_json(guild: Guild, bot: User, threads: list[Channel]) -> Json:
    """Return *guild* as GUILD_CREATE brings it: of the members only *bot* itself."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "owner_id": str(guild.owner.id),
        "member_count": len(guild.members),
        "large": False,
        "unavailable": False,
        "joined_at": LONG_AGO,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "preferred_locale": "en-US",
        "features": [],
        "emojis": [],
        "stickers": [],
        "roles": _roles_json(guild),
        "members": [{**member_json(guild, bot), "user": user_json(bot)}],
        "channels": [channel_json(one) for one in guild.channels],
        "threads": [channel_json(one) for one in threads],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def _roles_json(guild: Guild) -> list[Json]:
    plain = {
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "mentionable": False,
        "flags": 0,
        "permissions": ALL_PERMISSIONS,
    }
    everyone = {**plain, "id": str(guild.id), "name": "@everyone", "position": 0, "managed": False}
    own = [
        {
            **plain,
            "id": str(role),
            "name": "bot",
            "position": n,
            "managed": True,
            "tags": {"bot_id": str(bot_id)},
        }
        for n, (bot_id, role) in enumerate(guild.bot_roles.items(), start=1)
    ]
    return [everyone, *own]


def channel_json(channel: Channel) -> Json:
    """Return *channel*, which for a direct message names the people and for a thread its state."""
    last = str(channel.last_message_id) if channel.last_message_id else None
    shared: Json = {"id": str(channel.id), "type": int(channel.kind), "last_message_id": last}
    if channel.kind is ChannelKind.DIRECT:
        return {**shared, "recipients": [user_json(one) for one in channel.people if not one.is_bot]}
    assert channel.guild is not None, "only direct messages have no guild"
    shared |= {"name": channel.name, "guild_id": str(channel.guild.id), "rate_limit_per_user": 0}
    if channel.kind is ChannelKind.THREAD:
        return shared | _thread_json(channel)
    denied = sum(PERMISSIONS[one] for one in channel.denied)
    overwrites = [{"id": str(channel.guild.id), "type": 0, "allow": "0", "deny": str(denied)}]
    return {
        **shared,
        "position": channel.guild.channels.index(channel),
        "parent_id": None,
        "topic": None,
        "nsfw": False,
        "flags": 0,
        "permission_overwrites": overwrites if denied else [],
    }


def _thread_json(thread: Channel) -> Json:
    assert thread.parent is not None, "a thread has a channel"
    assert thread.owner is not None, "a thread has an owner"
    return {
        "parent_id": str(thread.parent.id),
        "owner_id": str(thread.owner.id),
        "message_count": len(thread.posted),
        "total_message_sent": len(thread.posted),
        "member_count": 1,
        "flags": 0,
        "thread_metadata": {
            "archived": thread.is_archived,
            "locked": thread.is_locked,
            "auto_archive_duration": 1440,
            "archive_timestamp": when(thread.changed_at),
            "create_timestamp": when(thread.changed_at),
        },
    }


def message_json(message: Posted, base_url: str, *, is_referenced: bool = False) -> Json:
    """Return *message*, with the one it answers; *base_url* is where its files are."""
    made: Json = {
        "id": str(message.id),
        "channel_id": str(message.channel.id),
        "type": message.kind,
        "content": message.text,
        "author": user_json(message.author),
        "timestamp": when(message.at),
        "edited_timestamp": when(message.edited_at),
        "tts": False,
        "pinned": False,
        "mention_everyone": message.pings_everyone,
        "mentions": [user_json(one) for one in message.pinged],
        "mention_roles": [str(one) for one in message.pinged_roles],
        "attachments": [_attachment_json(one, message, base_url) for one in message.attachments],
        "embeds": message.embeds,
        "components": message.components,
        "flags": message.flags,
    }
    if message.nonce is not None:
        made["nonce"] = message.nonce
    if message.thread is not None:
        made["thread"] = channel_json(message.thread)
    if message.interaction is not None:
        made |= {"interaction_metadata": message.interaction, "webhook_id": str(message.author.id)}
        made["application_id"] = str(message.author.id)
    if message.reply_to is not None and not is_referenced:
        made |= _reference_json(message, base_url)
    return made


def _reference_json(message: Posted, base_url: str) -> Json:
    channel = message.channel
    reference = {"type": 0, "message_id": str(message.reply_to), "channel_id": str(channel.id)}
    if channel.guild is not None:
        reference["guild_id"] = str(channel.guild.id)
    answered = channel.posted.get(message.reply_to or 0)
    resolved = message_json(answered, base_url, is_referenced=True) if answered else None
    return {"message_reference": reference, "referenced_message": resolved}


def _attachment_json(one: Attachment, message: Posted, base_url: str) -> Json:
    url = f"{base_url}/attachments/{message.channel.id}/{one.id}/{one.name}"
    return {
        "id": str(one.id),
        "filename": one.name,
        "size": len(one.content),
        "content_type": one.content_type,
        "url": url,
        "proxy_url": url,
    }

"""Reading the messages that were missed while there was no session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial

import discord
import structlog

from botkit.errors import PlatformError
from botkit_discord.journal import Journal
from botkit_discord.line import Line
from botkit_discord.settings import DiscordSettings

log = structlog.get_logger(__name__)


async def missed(
    client: discord.Client, line: Line, journal: Journal, settings: DiscordSettings, now: datetime
) -> AsyncIterator[discord.Message]:
    """Yield what was said since the journal's last entry, oldest first in each channel.

    Bounded by age and by number; channels in which nothing is new cost no request, direct messages cost one
    each.  A channel that cannot be read is left out and logged.
    """
    if not settings.backfill_messages or not settings.backfill_s:
        return
    for channel_id, newest in _channels(client, journal):
        after = journal.read_until(channel_id, now, settings.backfill_s)
        if newest is not None and newest <= after:
            continue
        read = partial(_read, channel_id=channel_id, after=after, limit=settings.backfill_messages)
        try:
            found = await line.call("reading the history", read)
        except PlatformError as error:
            log.warning("history_not_read", channel=channel_id, error=error.line())
            continue
        log.info("history_read", channel=channel_id, n_messages=len(found))
        for message in found:
            yield message


async def _read(client: discord.Client, channel_id: int, after: int, limit: int) -> list[discord.Message]:
    """Return at most *limit* messages, the newest of those after *after*, oldest first."""
    channel = client.get_channel(channel_id) or client.get_partial_messageable(channel_id)
    if not isinstance(channel, discord.abc.Messageable):
        return []
    newest_first = channel.history(limit=limit, after=discord.Object(after), oldest_first=False)
    return [message async for message in newest_first][::-1]


def _channels(client: discord.Client, journal: Journal) -> list[tuple[int, int | None]]:
    """Return the channels to look at, each with its newest message; None where only Discord knows it."""
    found: dict[int, int | None] = {}
    for guild in client.guilds:
        for channel in (*guild.channels, *guild.threads):
            newest = getattr(channel, "last_message_id", None)
            if newest is not None and _may_read(channel, guild):
                found[channel.id] = newest
    found.update((one, None) for one in journal.private if one not in found)
    return list(found.items())


def _may_read(channel: discord.abc.GuildChannel | discord.Thread, guild: discord.Guild) -> bool:
    if guild.me is None:
        return True
    try:
        allowed = channel.permissions_for(guild.me)
    except discord.ClientException:  # a thread whose channel is not known
        return True
    return allowed.view_channel and allowed.read_message_history

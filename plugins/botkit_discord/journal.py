"""How far a bot has read Discord: what is kept in its cursor.

Discord hands events out once.  What it can be asked for again is the rest of a session (RESUME, for some
minutes) and the history of each channel.  The cursor holds what both questions need.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import discord

MAX_CHANNELS = 500
"""So many channels are remembered, those with the newest messages; the others are read by age alone."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the gateway, and the last event of it that has been taken in."""

    id: str
    gateway: str
    sequence: int


@dataclass(slots=True)
class Journal:
    """What has been read.  Ids are Discord's snowflakes, which rise with time.

    ``since`` is when this bot first read anything: what is older is none of its business.  ``seen`` is the
    newest message taken in, by channel; ``private`` are those of them that are direct messages, which no
    list of Discord's names.
    """

    since: int
    seen: dict[int, int] = field(default_factory=dict)
    private: set[int] = field(default_factory=set)
    session: Session | None = None

    @classmethod
    def begin(cls, now: datetime) -> Journal:
        """Return the journal of a bot that has read nothing yet."""
        return cls(discord.utils.time_snowflake(now))

    @classmethod
    def parse(cls, position: str | None, now: datetime) -> Journal:
        """Return the journal that *position* holds; one that cannot be read is begun anew."""
        try:
            found = json.loads(position or "")
            session = found["session"]
            return cls(
                int(found["since"]),
                {int(channel): int(message) for channel, message in found["seen"].items()},
                {int(channel) for channel in found["private"]},
                Session(str(session[0]), str(session[1]), int(session[2])) if session else None,
            )
        except (ValueError, TypeError, LookupError, AttributeError):
            return cls.begin(now)

    def position(self, session: Session | None) -> str:
        """Return the journal as text, as of *session*."""
        fields = [session.id, session.gateway, session.sequence] if session else None
        return json.dumps(
            {"since": self.since, "seen": self.seen, "private": sorted(self.private), "session": fields},
            separators=(",", ":"),
        )

    def note(self, channel: int, message: int, *, private: bool) -> None:
        """Note that *message* of *channel* has been taken in."""
        self.seen[channel] = max(message, self.seen.get(channel, 0))
        if private:
            self.private.add(channel)
        if len(self.seen) > MAX_CHANNELS:
            oldest = min(self.seen, key=lambda one: self.seen[one])
            del self.seen[oldest]
            self.private.discard(oldest)

    def read_until(self, channel: int, now: datetime, max_age_s: float) -> int:
        """Return the message of *channel* after which everything not older than *max_age_s* was missed."""
        oldest = discord.utils.time_snowflake(now - timedelta(seconds=max_age_s))
        return max(self.seen.get(channel, 0), self.since, oldest)

"""Values that the Discord tests share."""

from __future__ import annotations

from typing import Any

import discord

BOT_ID, ANNA_ID, BEN_ID = 900_000_000_000_000_900, 100_000_000_000_000_101, 100_000_000_000_000_102
CHANNEL_ID, THREAD_ID, DM_ID, GUILD_ID = 500, 501, 502, 400
SENT_AT = "2026-01-01T00:00:00+00:00"


def user(number: int, name: str, *, bot: bool = False) -> dict[str, Any]:
    """A user as Discord's API writes it."""
    return {"id": str(number), "username": name, "discriminator": "0", "avatar": None, "bot": bot}


BOT = user(BOT_ID, "botto", bot=True)
ANNA, BEN = user(ANNA_ID, "anna"), user(BEN_ID, "ben")


def payload(text: str, *, author: dict[str, Any] = ANNA, number: int = 1000, **more: Any) -> dict[str, Any]:
    """A message as Discord's API writes it."""
    empty: dict[str, Any] = {
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "components": [],
        "mention_everyone": False,
        "tts": False,
        "pinned": False,
        "type": 0,
        "edited_timestamp": None,
        "timestamp": SENT_AT,
        "channel_id": str(CHANNEL_ID),
    }
    return {**empty, "id": str(number), "content": text, "author": author, **more}


class Offline:
    """discord.py's objects without a connection; make it in a running loop."""

    def __init__(self) -> None:
        self.client = discord.Client(intents=discord.Intents.none())
        self.state = self.client._connection
        self.bot = discord.ClientUser(state=self.state, data=BOT)  # type: ignore[arg-type]
        self.channel = self.client.get_partial_messageable(CHANNEL_ID, guild_id=GUILD_ID)

    def message(self, text: str, **more: Any) -> discord.Message:
        """A message as discord.py delivers it."""
        data: Any = payload(text, **more)
        return discord.Message(state=self.state, channel=self.channel, data=data)

"""What discord.py and the network under it raise, in botkit's words."""

from __future__ import annotations

import aiohttp
import discord

from botkit.errors import ConfigError, PlatformError, Undeliverable

# ValueError, TypeError and LookupError: the answer was not what Discord's documentation says.
# RuntimeError: the client was closed under the call.
FOREIGN = (
    discord.DiscordException,
    aiohttp.ClientError,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
)
# Discord's JSON error codes: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
UNKNOWN_MESSAGE = 10008
# Archived or locked thread, no direct messages to this person, bad form: the same call fails the same way.
HOPELESS_STATUS = frozenset({400, 403, 404})
MAX_REASON_CHARACTERS = 200

CLOSE_NOT_AUTHENTICATED = 4004
CLOSE_INTENT_REFUSED = 4014
FATAL_CLOSES = {
    4010: "Discord calls the shard invalid",
    4011: "the bot is in so many servers that Discord asks for shards",
    4012: "Discord no longer speaks this version of its gateway",
    4013: "Discord calls the intents invalid",
}


class MessageGone(PlatformError):
    """Somebody deleted our message; the answer can go on in a new one."""


def platform_error(error: BaseException, what: str) -> PlatformError:
    """Return what *error*, raised by a call that was to do *what*, is to the core."""
    line = f"discord: {what} failed: {_reason(error)}"
    if isinstance(error, discord.NotFound) and error.code == UNKNOWN_MESSAGE:
        return MessageGone(line)
    if isinstance(error, discord.HTTPException) and error.status in HOPELESS_STATUS:
        return Undeliverable(line)
    return PlatformError(line)


def is_transient(error: BaseException) -> bool:
    """Tell whether the same call may well succeed a moment later."""
    if isinstance(error, discord.HTTPException):
        return error.status >= 500
    return isinstance(error, (aiohttp.ClientError, OSError))


def config_error(error: BaseException) -> ConfigError | None:
    """Return what the operator has to mend before the bot can connect, or None if it is not of that kind."""
    if isinstance(error, discord.LoginFailure) or _close_code(error) == CLOSE_NOT_AUTHENTICATED:
        return ConfigError(
            "Discord does not accept adapters.discord.token",
            hint="copy the bot's token from the developer portal, or reset it there",
        )
    if isinstance(error, discord.PrivilegedIntentsRequired) or _close_code(error) == CLOSE_INTENT_REFUSED:
        return ConfigError(
            "Discord does not grant this bot the message content intent",
            hint="switch it on in the developer portal, or set adapters.discord.message_content=false",
        )
    fatal = FATAL_CLOSES.get(_close_code(error))
    return ConfigError(f"{fatal} (close code {_close_code(error)})") if fatal else None


def _close_code(error: BaseException) -> int:
    return error.code or 0 if isinstance(error, discord.ConnectionClosed) else 0


def _reason(error: BaseException) -> str:
    if isinstance(error, discord.HTTPException):
        text = f"HTTP {error.status}, code {error.code}: {error.text}"
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text[:MAX_REASON_CHARACTERS]

"""What goes wrong on the way to Telegram, as errors of botkit that never show the token."""

from __future__ import annotations

from datetime import timedelta

import httpx
from telegram.error import BadRequest, Forbidden, InvalidToken, RetryAfter, TelegramError, TimedOut

from botkit.errors import ConfigError, PlatformError, Undeliverable

MAX_REASON_CHARACTERS = 200
WRONG_TOKEN = "Telegram does not know the token in adapters.telegram.token"  # noqa: S105

MISBEHAVIOUR = (TelegramError, KeyError, TypeError, ValueError, AttributeError)
"""What the library raises: its own errors, and whatever an answer that makes no sense leads to."""

_CLOSED_FOR_EVER = (
    "chat not found",
    "chat_write_forbidden",
    "group chat was deactivated",
    "not enough rights to send",
    "have no rights to send",
)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def wrong_token() -> ConfigError:
    """Return the error for a token that Telegram does not know."""
    return ConfigError(WRONG_TOKEN, hint="ask @BotFather for the right one")


def translated(error: Exception, action: str, token: str) -> PlatformError:
    """Return *error*, which happened while doing *action* (``sendMessage``), in one line without *token*.

    Undeliverable where no other try will go better.
    """
    if isinstance(error, InvalidToken):
        return PlatformError(WRONG_TOKEN)  # the library's own text quotes the token
    if not isinstance(error, TelegramError):
        return PlatformError(f"Telegram answered {action} with something that makes no sense")
    reason = masked(str(error), token)[:MAX_REASON_CHARACTERS]
    if isinstance(error, Forbidden):
        return Undeliverable(f"Telegram does not let the bot in ({action}): {reason}")
    if says(error, *_CLOSED_FOR_EVER):
        return Undeliverable(f"Telegram refused {action} for good: {reason}")
    if isinstance(error, TimedOut):
        return PlatformError(f"Telegram did not answer {action} in time")
    return PlatformError(f"Telegram failed at {action}: {reason}")


def masked(text: str, token: str) -> str:
    """Return *text* with the token, and the secret half of it alone, taken out."""
    secret = token.partition(":")[2]
    for one in (token, secret):
        if one:
            text = text.replace(one, "[token]")
    return text


def retry_after_s(error: RetryAfter) -> float:
    """Return how many seconds Telegram asks to wait."""
    wanted = error.retry_after
    return wanted.total_seconds() if isinstance(wanted, timedelta) else float(wanted)


def had_no_effect(error: Exception) -> bool:
    """Tell whether *error* proves that the call never reached Telegram, so that it may be made again."""
    return isinstance(error, TelegramError) and isinstance(error.__cause__, _UNSENT)


def says(error: Exception, *words: str) -> bool:
    """Tell whether Telegram refused a call for a reason that has one of *words* in it."""
    text = str(error).lower()
    return isinstance(error, BadRequest) and any(one in text for one in words)


def is_unchanged(error: Exception) -> bool:
    """Tell whether an edit was refused because the message says that already."""
    return says(error, "message is not modified")


def is_gone(error: Exception) -> bool:
    """Tell whether the message to edit is not there any more, or can be edited no more."""
    return says(error, "message to edit not found", "message can't be edited", "message_id_invalid")


def is_without_thread(error: Exception) -> bool:
    """Tell whether the topic to write in is not there."""
    return says(error, "message thread not found", "topic_closed", "topic_deleted")


def is_without_origin(error: Exception) -> bool:
    """Tell whether the message to reply to is not there any more."""
    return says(
        error, "message to be replied not found", "message to reply not found", "replied message not found"
    )


def is_marked_wrongly(error: Exception) -> bool:
    """Tell whether Telegram does not take the marks in a text."""
    return says(error, "can't parse entities", "entity", "entities")

"""The connection to the Bot API: the library's client, guarded by our budgets and translated errors."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog

# The library's own switch: a wait is a timedelta, and asking for it warns of nothing.
os.environ.setdefault("PTB_TIMEDELTA", "1")

from telegram import Bot, User
from telegram.error import ChatMigrated, InvalidToken, RetryAfter, TelegramError
from telegram.request import HTTPXRequest

from botkit.errors import ConfigError, PlatformError
from botkit.protocols import Clock
from botkit_telegram.budget import Budget
from botkit_telegram.failures import MISBEHAVIOUR, had_no_effect, retry_after_s, translated, wrong_token
from botkit_telegram.settings import TelegramSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

CONNECT_S, ANSWER_S, POOL_S = 10.0, 20.0, 30.0
POOL_SIZE = 64
UNSENT_BACK_OFF_S = (0.2, 1.0, 3.0)
MAX_WAIT_S = 120.0
"""How long a call may wait in all because the platform asks for it."""
KINDS = ("message", "callback_query")
"""The kinds of updates that are asked for."""


class _Request(HTTPXRequest):
    """The library's HTTP client; an answer that is no JSON is not written to the log."""

    @staticmethod
    def parse_json_payload(payload: bytes) -> Any:
        """Return what *payload* holds; raises TelegramError."""
        try:
            return json.loads(payload.decode("utf-8", "replace"))
        except ValueError:
            raise TelegramError("its answer is no JSON") from None


class _RawBot(Bot):
    """The library's client; updates come as the raw JSON, so that one it cannot read is only one."""

    async def raw_updates(self, offset: int | None, timeout_s: int) -> Any:
        """Return the result of getUpdates; raises the library's errors."""
        wanted: dict[str, Any] = {"timeout": timeout_s, "allowed_updates": list(KINDS)}
        if offset is not None:
            wanted["offset"] = offset
        return await self._post("getUpdates", wanted, read_timeout=timeout_s + ANSWER_S)


class Client:
    """One bot on Telegram.  ``open`` before the first call; whoever opened it closes it."""

    def __init__(self, settings: TelegramSettings, clock: Clock) -> None:
        """Prepare for the bot of *settings*; raises ConfigError for a token that cannot be one."""
        self._token, self._clock = settings.read_token(), clock
        self.budget = Budget(clock)
        self.bot = _RawBot(
            self._token,
            base_url=settings.base_url,
            base_file_url=settings.base_file_url,
            request=_request(POOL_SIZE),
            get_updates_request=_request(1),
        )
        self._ready = asyncio.Event()
        self._moved: dict[int, int] = {}

    @property
    def me(self) -> User:
        """The bot's own account; known once open."""
        return self.bot.bot

    async def open(self) -> None:
        """Connect.  Raises ConfigError for a token that Telegram does not know, else PlatformError."""
        failure: ConfigError | PlatformError | None = None
        try:
            await self.bot.initialize()
        except InvalidToken:
            failure = wrong_token()
        except MISBEHAVIOUR as error:
            failure = self.translated(error, "getMe")
        if failure is not None:
            raise failure  # out here, where the library's error with the token in it is no context of it
        self._ready.set()

    async def aclose(self) -> None:
        """Disconnect; calls wait until it is open again."""
        self._ready.clear()
        await self.bot.shutdown()

    async def call(self, action: str, chat_id: int, make: Callable[[int], Awaitable[T]]) -> T:
        """Return what ``make(chat_id)`` returns, made when the budgets and the platform allow it.

        A chat that has moved is followed.  Raises the library's errors, after trying again what certainly had
        no effect, and PlatformError when the platform asks for too long a wait.
        """
        await self._ready.wait()
        n_unsent, waited_s = 0, 0.0
        while True:
            await self.budget.spend(chat_id)
            try:
                return await make(self._moved.get(chat_id, chat_id))
            except RetryAfter as error:
                wait_s = retry_after_s(error)
                waited_s += wait_s
                self._pause(action, chat_id, wait_s)
                if waited_s > MAX_WAIT_S:
                    raise PlatformError(f"Telegram wants {action} to wait for {wait_s:.0f} s") from None
            except ChatMigrated as error:
                if self._moved.get(chat_id) == error.new_chat_id:
                    raise
                log.info("chat_moved", chat=chat_id, to=error.new_chat_id)
                self._moved[chat_id] = error.new_chat_id
            except TelegramError as error:
                if not had_no_effect(error) or n_unsent == len(UNSENT_BACK_OFF_S):
                    raise
                await self._clock.sleep(UNSENT_BACK_OFF_S[n_unsent])
                n_unsent += 1

    async def call_if_spare(self, action: str, chat_id: int, make: Callable[[int], Awaitable[T]]) -> T | None:
        """Do as ``call`` does, once and at once; None where the budget or the platform wants it left out."""
        await self._ready.wait()
        if not await self.budget.spend_spare(chat_id):
            return None
        try:
            return await make(self._moved.get(chat_id, chat_id))
        except RetryAfter as error:
            self._pause(action, chat_id, retry_after_s(error))
            return None

    async def act(self, chat_id: int, thread_id: int | None, action: str) -> None:
        """Show a sign that passes by itself; it costs no budget.  Raises the library's errors."""
        await self._ready.wait()
        await self.bot.send_chat_action(
            self._moved.get(chat_id, chat_id), action, message_thread_id=thread_id
        )

    async def updates(self, offset: int | None, timeout_s: int) -> Sequence[Any]:
        """Return the raw updates from *offset* on, waiting for one up to *timeout_s*.

        The call confirms all that came before *offset*.  Raises the library's errors, and TypeError for an
        answer that is no list.
        """
        found = await self.bot.raw_updates(offset, timeout_s)
        if not isinstance(found, list):
            raise TypeError("getUpdates returned no list")
        return found

    def translated(self, error: Exception, action: str) -> PlatformError:
        """Return *error* as an error of botkit that does not show the token."""
        return translated(error, action, self._token)

    def _pause(self, action: str, chat_id: int, seconds: float) -> None:
        log.info("told_to_wait", action=action, chat=chat_id, seconds=seconds)
        self.budget.pause(chat_id, seconds)


def _request(pool_size: int) -> _Request:
    return _Request(
        connection_pool_size=pool_size,
        connect_timeout=CONNECT_S,
        read_timeout=ANSWER_S,
        write_timeout=ANSWER_S,
        pool_timeout=POOL_S,
    )

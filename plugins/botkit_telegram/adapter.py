"""Telegram as a platform; implements ``protocols.Adapter``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import structlog
from telegram import BotCommand

from botkit.clock import SystemClock
from botkit.protocols import ChatService, Clock, Reply
from botkit.types import Message
from botkit_telegram.calls import Calls
from botkit_telegram.client import Client
from botkit_telegram.failures import MISBEHAVIOUR
from botkit_telegram.intake import Intake, reply_to
from botkit_telegram.receive import Poller
from botkit_telegram.settings import TelegramSettings
from botkit_telegram.trees import Trees
from botkit_telegram.webhook import Webhook

log = structlog.get_logger(__name__)


class TelegramAdapter:
    """One bot on Telegram."""

    name = "telegram"

    def __init__(self, settings: TelegramSettings, clock: Clock | None = None) -> None:
        """Prepare; raises ConfigError for a token that is missing or cannot be one."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._client = Client(settings, self._clock)
        self._calls = Calls(self._client)
        self._trees = Trees()

    async def run(self, service: ChatService, started: Callable[[str], None]) -> None:
        """Receive until cancelled; *started* gets the bot's name.

        Raises ConfigError for a token that Telegram does not know, PlatformError where it cannot be reached,
        EnvironmentFailure for a webhook's address that cannot be had.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._client.aclose)
            await self._client.open()
            intake = Intake(service, self._client.me, self._calls, self._trees)
            stack.push_async_callback(intake.aclose)
            await self._set_menu(service)
            line = f"@{self._client.me.username} by {self._settings.mode}"
            if self._settings.mode == "webhook":
                webhook = Webhook(self._settings, intake)
                await stack.enter_async_context(webhook.listening())
                await webhook.register(self._client)
                started(line)
                await asyncio.Event().wait()
            await self._end_webhook()
            started(line)
            await Poller(self._client, intake, self._clock).run()

    def reply(self, message: Message, receipts: Sequence[str]) -> Reply:
        """Return the place where the answer to *message*, begun by an earlier process, is finished."""
        return reply_to(message, self._calls, self._trees, receipts)

    async def _end_webhook(self) -> None:
        """Let updates wait to be fetched; those that wait already are kept."""
        try:
            await self._client.bot.delete_webhook(drop_pending_updates=False)
        except MISBEHAVIOUR as error:
            raise self._client.translated(error, "deleteWebhook") from None

    async def _set_menu(self, service: ChatService) -> None:
        """Offer the commands, if they are not what Telegram offers already; nothing depends on it."""
        wanted = tuple(BotCommand(one.name, one.summary) for one in service.commands())
        try:
            if tuple(await self._client.bot.get_my_commands()) != wanted:
                await self._client.bot.set_my_commands(wanted)
        except MISBEHAVIOUR as error:
            log.warning("menu_not_set", error=self._client.translated(error, "setMyCommands").line())

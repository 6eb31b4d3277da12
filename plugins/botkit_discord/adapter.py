"""Discord as a platform: a client that is watched, and built anew when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import discord
import structlog

from botkit.clock import SystemClock
from botkit.errors import BotkitError, StoreError
from botkit.protocols import ChatService, Reply
from botkit.types import Message
from botkit_discord.client import BotClient
from botkit_discord.controls import offer_commands
from botkit_discord.events import PLATFORM, EventName
from botkit_discord.failures import FOREIGN, config_error, is_transient
from botkit_discord.intake import Intake
from botkit_discord.interactions import Interactions
from botkit_discord.journal import Journal, Session
from botkit_discord.line import Line
from botkit_discord.reply import DiscordReply, InteractionReply
from botkit_discord.settings import DiscordSettings

log = structlog.get_logger(__name__)

REBUILD_BACK_OFF_S = (0.5, 1.0, 5.0, 15.0, 60.0)
CLOSE_S = 2.0


class DiscordAdapter:
    """One bot on Discord; implements ``protocols.Adapter`` and ``protocols.Resuming``."""

    name = "discord"

    def __init__(self, settings: DiscordSettings) -> None:
        """Keep *settings*; raises ConfigError where there is no token."""
        self._settings, self._token = settings, settings.bot_token()
        self._clock = SystemClock()
        self._line = Line(self._clock)
        self._has_started = False
        self._intake: Intake | None = None
        self._interactions: Interactions | None = None
        self._taking: asyncio.Task[None] | None = None

    def reply(self, message: Message, receipts: Sequence[str]) -> Reply:
        """Return where the answer to *message* goes on; what is called on it waits for a connection."""
        return self._reply_to(message, receipts=receipts, is_resumed=True)

    async def run(self, service: ChatService, started: Callable[[str], None]) -> None:
        """Serve until cancelled; a client that dies is replaced, and resumes where it stood.

        Raises ConfigError for a token that Discord does not accept and for an intent it does not grant.
        """
        session: Session | None = None
        n_failed = 0
        self._has_started = False
        try:
            while True:
                client = BotClient(
                    self._settings,
                    self._clock,
                    session,
                    self._put,
                    self._press,
                    service.commands(),
                    self._command,
                )
                error = await self._serve_watched(client, service, started)
                if error is not None and (wrong := config_error(error)) is not None:
                    raise wrong from None
                n_failed = 0 if client.served.is_set() else n_failed
                back_off_s = REBUILD_BACK_OFF_S[min(n_failed, len(REBUILD_BACK_OFF_S) - 1)]
                _log_end(error, back_off_s)
                session = self._session_after(client)
                await self._clock.sleep(back_off_s)
                n_failed += 1
        finally:
            await self._leave()

    async def _serve_watched(
        self, client: BotClient, service: ChatService, started: Callable[[str], None]
    ) -> BaseException | None:
        """Let *client* serve until it ends, close it, and return what it died of."""
        serving = asyncio.create_task(self._serve(client, service, started))
        try:
            await asyncio.wait({serving})
        finally:
            await self._line.disconnect()
            await _close(client)
            serving.cancel()
            await asyncio.wait({serving})
            if self._intake is not None and not self._intake.is_behind:
                self._intake.stand(client.session)
        return None if serving.cancelled() else serving.exception()

    async def _serve(self, client: BotClient, service: ChatService, started: Callable[[str], None]) -> None:
        await client.login(self._token)
        bot = client.user
        assert bot is not None, "there is one after the login"
        if self._intake is None:
            position = await service.cursor(PLATFORM, str(bot.id))
            journal = Journal.parse(position, service.clock.now())
            client.session = journal.session
            self._intake = Intake(service, self._settings, self._line, journal, bot, self._reply_to)
            self._interactions = Interactions(service, self._intake, bot, self._place_of_answer)
            self._taking = asyncio.create_task(self._intake.run())
        await self._line.connect(client)
        announcing = asyncio.create_task(self._announce(client, started))
        try:
            await client.connect()
        finally:
            announcing.cancel()

    def _put(self, arrival: Any) -> None:
        assert self._intake is not None, "nothing arrives before the login"
        self._intake.put(arrival)

    async def _announce(self, client: BotClient, started: Callable[[str], None]) -> None:
        """Tell the operator, at the first time, and Discord what commands there are."""
        await client.served.wait()
        if not self._has_started:
            self._has_started = True
            started(f"{client.user}")
        await offer_commands(client.tree)

    async def _press(self, interaction: discord.Interaction) -> None:
        if self._interactions is not None:
            await self._interactions.press(interaction)

    async def _command(self, interaction: discord.Interaction, line: str) -> None:
        if self._interactions is not None:
            await self._interactions.command(interaction, line)

    def _place_of_answer(self, message: Message, interaction: discord.Interaction | None) -> Reply:
        if interaction is None:
            return self._reply_to(message)
        return InteractionReply(interaction, self._line, self._clock, EventName.parse(message.event_id))

    def _reply_to(
        self, message: Message, *, receipts: Sequence[str] = (), is_resumed: bool = False
    ) -> DiscordReply:
        return DiscordReply(
            self._line,
            self._clock,
            EventName.parse(message.event_id),
            receipts=receipts,
            is_resumed=is_resumed,
            has_buttons=self._settings.buttons and _is_answered_by_the_model(message.text),
        )

    def _session_after(self, client: BotClient) -> Session | None:
        """Return what the next client resumes.

        A session whose beginning was not caught up with is dropped: the next one reads the history.
        """
        return None if self._intake is None or self._intake.is_behind else client.session

    async def _leave(self) -> None:
        """Stop taking in, and save how far that went; the next run begins from there."""
        taking, intake = self._taking, self._intake
        self._taking = self._intake = self._interactions = None
        if taking is not None:
            taking.cancel()
            await asyncio.wait({taking})
        if intake is not None:
            try:
                await intake.save()
            except StoreError as error:
                log.warning("cursor_not_saved", error=error.line())


async def _close(client: BotClient) -> None:
    """Close *client*; a peer that does not answer is not waited for."""
    with suppress(*FOREIGN):
        async with asyncio.timeout(CLOSE_S):
            await client.close()


def _log_end(error: BaseException | None, back_off_s: float) -> None:
    reason = error.line() if isinstance(error, BotkitError) else type(error).__name__
    is_foreseen = error is None or is_transient(error)
    log.error("client_ended", error=reason, back_off_s=back_off_s, exc_info=None if is_foreseen else error)


def _is_answered_by_the_model(text: str) -> bool:
    return not text.lstrip().startswith("/") or text.strip() == "/regenerate"

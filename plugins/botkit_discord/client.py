"""The connection to Discord: discord.py's client, with a session that outlives client and process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket, ReconnectWebSocket

from botkit.protocols import Clock
from botkit.types import CommandInfo
from botkit_discord.controls import Act, add_commands
from botkit_discord.failures import config_error
from botkit_discord.intake import Arrival, NewSession
from botkit_discord.journal import Session
from botkit_discord.pointing import point
from botkit_discord.settings import DiscordSettings

log = structlog.get_logger(__name__)

HANDSHAKE_S = 60.0
RECONNECT_BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
MAX_RESUMES = 3
"""After so many failures where Discord wants a session to be resumed, its usual address is tried."""
IDENTIFY_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
SILENCE_S = 60.0
"""A gateway that says nothing for so long is taken for dead; its heartbeats are about 41 s apart."""
GUILDS_S = 1.0
"""The longest pause between two servers that a new session is told of; then it counts as ready."""
KEEP_SESSION = 4000
"""The close code after which Discord keeps the session for some minutes; 1000 would end it."""


class BotClient(discord.Client):
    """One connection to Discord, as one bot.

    *put* is called with each message, and with each session that begins at nothing; *press* with what is done
    with buttons; *command* with what is asked by the slash commands of *menu*.

    discord.py opens every first connection with a new session, and ends the session when it closes.  This
    client resumes *session* where there is one, and leaves it open.  It serves once: after an error that
    leaves ``connect``, whoever made it makes another.
    """

    def __init__(
        self,
        settings: DiscordSettings,
        clock: Clock,
        session: Session | None,
        put: Callable[[Arrival | NewSession], None],
        press: Callable[[discord.Interaction], Awaitable[None]],
        menu: Sequence[CommandInfo],
        command: Act,
    ) -> None:
        """Make ready to log in."""
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody asked for voice
        super().__init__(
            intents=_intents(settings),
            allowed_mentions=discord.AllowedMentions.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            max_ratelimit_timeout=LONGEST_PAUSE_S,
            guild_ready_timeout=GUILDS_S,
            heartbeat_timeout=SILENCE_S,
        )
        self.session = session
        self._clock, self._put, self._press = clock, put, press
        self._gateway = yarl.URL(settings.gateway_url)
        self._ended = asyncio.Event()
        self._is_first_identify = True
        self.served = asyncio.Event()
        self.tree = add_commands(self, menu, command)
        point(self, settings.api_base)

    async def connect(self, *, reconnect: bool = True) -> None:
        """Serve until closed.  Raises what no new connection of this client can mend."""
        n_failed = 0
        while not self._ended.is_set():
            try:
                await self._open()
                while True:
                    await self._poll()
                    n_failed = 0
            except ReconnectWebSocket as request:
                self.dispatch("disconnect")
                if self._ended.is_set():
                    return
                if request.resume:
                    self._note_session()
                else:
                    self.session = None
                log.info("gateway_reconnecting", resume=self.session is not None)
                # An order to reconnect that comes in place of the first event must not become a busy loop.
                await self._clock.sleep(RECONNECT_BACK_OFF_S[0] if n_failed else 0)
                n_failed += 1
            except (OSError, aiohttp.ClientError, discord.ConnectionClosed) as error:
                self.dispatch("disconnect")
                if self._ended.is_set():
                    return
                if config_error(error) is not None:
                    raise
                n_failed += 1
                if self.session is not None and n_failed >= MAX_RESUMES:
                    self.session = replace(self.session, gateway=str(self._gateway))
                back_off_s = RECONNECT_BACK_OFF_S[min(n_failed, len(RECONNECT_BACK_OFF_S)) - 1]
                log.warning("gateway_unreachable", error=type(error).__name__, back_off_s=back_off_s)
                await self._clock.sleep(back_off_s)

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Hand messages on in the order in which they come, before any task of discord.py sees them."""
        if event == "message":
            self._note_session()
            self._put(Arrival(args[0], self.session))
        elif event == "connect":
            self._note_session()
            self._put(NewSession(self, self.session))
        elif event in ("ready", "resumed"):
            self.served.set()
        super().dispatch(event, *args, **kwargs)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Hand on what is done with buttons; commands go to the command tree."""
        if interaction.type is discord.InteractionType.component:
            await self._press(interaction)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Keep the pace at which Discord lets a bot begin sessions."""
        if not self._is_first_identify:
            await self._clock.sleep(IDENTIFY_PAUSE_S)
        self._is_first_identify = False

    async def is_serving(self) -> bool:
        """Wait until all guilds are known, or this client has ended; tell which."""
        ending = asyncio.ensure_future(self._ended.wait())
        getting_ready = asyncio.ensure_future(self.wait_until_ready())
        try:
            await asyncio.wait({ending, getting_ready}, return_when=asyncio.FIRST_COMPLETED)
            return not self._ended.is_set() and getting_ready.done() and getting_ready.exception() is None
        finally:
            ending.cancel()
            getting_ready.cancel()

    async def close(self) -> None:
        """Close the connection and leave the session to whoever resumes it."""
        self._ended.set()
        if self.ws is not None and self.ws.open:
            await self.ws.close(code=KEEP_SESSION)
        await super().close()

    async def _open(self) -> None:
        """Connect, and resume the session or begin one."""
        session = self.session
        opening = DiscordWebSocket.from_client(
            self,
            initial=session is None,
            gateway=yarl.URL(session.gateway) if session else self._gateway,
            session=session.id if session else None,
            sequence=session.sequence if session else None,
            resume=session is not None,
        )
        self.ws = await asyncio.wait_for(opening, HANDSHAKE_S)

    async def _poll(self) -> None:
        """Take one event.  One that discord.py fails at counts as taken, or it would come again for ever."""
        try:
            await self.ws.poll_event()
        finally:
            self._note_session()

    def _note_session(self) -> None:
        """Keep what the session could be resumed from, now."""
        ws = self.ws
        if ws is not None and ws.session_id is not None and ws.sequence is not None:
            self.session = Session(ws.session_id, str(ws.gateway), ws.sequence)


def _intents(settings: DiscordSettings) -> discord.Intents:
    """Return what the bot needs to be told; message content is the only privileged one, and by choice."""
    return discord.Intents(
        guilds=True, guild_messages=True, dm_messages=True, message_content=settings.message_content
    )

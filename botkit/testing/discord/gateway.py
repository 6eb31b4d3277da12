"""The fake's Gateway: who listens, what they may hear, and how they come back."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from botkit.testing.discord import payloads
from botkit.testing.discord.faults import EventFaults
from botkit.testing.discord.sessions import (
    ACK,
    HEARTBEAT,
    HELLO,
    IDENTIFY,
    INVALID,
    MEMBERS,
    RESUME,
    Connection,
    Session,
)
from botkit.testing.discord.world import Bot, ChannelKind, Event, Guild, Json, Posted, World

HEARTBEAT_INTERVAL_MS = 41_250
CLOSE_S = 1.0

INTENT_GUILDS = 1 << 0
INTENT_GUILD_MESSAGES = 1 << 9
INTENT_DIRECT_MESSAGES = 1 << 12
INTENT_MESSAGE_CONTENT = 1 << 15

UNKNOWN_OPCODE, NOT_JSON, NOT_AUTHENTICATED, WRONG_TOKEN, TWICE = 4001, 4002, 4003, 4004, 4005
INTENT_REFUSED = 4014
ENDS_SESSION = {1000, 1001}
"""The close codes with which a client gives its session up."""


class Gateway:
    """Serves WebSockets; ``sessions`` live on without one, until they are forgotten."""

    def __init__(self, world: World, base_url: Callable[[], str], changed: Callable[[], None]) -> None:
        """Serve *world*; *base_url* is where the fake is, *changed* is called when somebody comes or goes."""
        self.sessions: dict[str, Session] = {}
        self.connections: list[Connection] = []
        self.faults = EventFaults()
        self.heartbeat_interval_ms = HEARTBEAT_INTERVAL_MS
        self.n_identified = 0
        self.n_resumed = 0
        self.n_heartbeats = 0
        self._world, self._base_url, self._changed = world, base_url, changed

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection, for as long as it lasts."""
        if (status := self.faults.refused_handshake()) is not None:
            return web.Response(status=status, text="the handshake was refused")
        socket = web.WebSocketResponse(timeout=CLOSE_S)
        await socket.prepare(request)
        connection = Connection(socket, request, is_compressed=request.query.get("compress") == "zlib-stream")
        writing = asyncio.create_task(connection.write())
        self.connections.append(connection)
        connection.send({"op": HELLO, "d": {"heartbeat_interval": self.heartbeat_interval_ms}})
        self._changed()
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._receive(connection, frame.data)
        finally:
            if not connection.is_closing:
                writing.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await writing
            self._leave(connection, socket.close_code)
        return socket

    def tell(self, event: Event) -> None:
        """Bring *event* to every session that may hear of it."""
        for session in list(self.sessions.values()):
            if self._may_hear(session, event):
                name, data = event.name, self._data(session, event)
                for data_now in self.faults.applied(session, name, data):
                    session.dispatch(name, data_now)
        self._changed()

    def each(self, do: Callable[[Connection], None]) -> int:
        """Do something with every open connection; return how many there were."""
        connections = list(self.connections)
        for one in connections:
            do(one)
        return len(connections)

    def forget(self) -> None:
        """Forget all sessions: who comes back has to identify anew, and has missed what was said."""
        for session in self.sessions.values():
            session.connection = None
        self.sessions.clear()

    def _receive(self, connection: Connection, text: str) -> None:
        try:
            payload = json.loads(text)
            op, data = int(payload["op"]), payload.get("d")
        except (ValueError, KeyError, TypeError):
            connection.close(NOT_JSON)
            return
        if op == HEARTBEAT:
            self.n_heartbeats += 1
            connection.send({"op": ACK})
            self._changed()
        elif op == IDENTIFY:
            self._identify(connection, data)
        elif op == RESUME:
            self._resume(connection, data)
        elif connection.session is None:
            connection.close(NOT_AUTHENTICATED)
        elif op == MEMBERS:
            self._bring_members(connection.session, data)
        elif op not in (3, 4):  # presence and voice change nothing here
            connection.close(UNKNOWN_OPCODE)

    def _identify(self, connection: Connection, data: Json) -> None:
        bot = self._bot(data)
        intents = int(data.get("intents", 0))
        if connection.session is not None:
            connection.close(TWICE)
        elif bot is None:
            connection.close(WRONG_TOKEN)
        elif intents & INTENT_MESSAGE_CONTENT and not bot.message_content:
            connection.close(INTENT_REFUSED)
        else:
            number, count = data.get("shard", (0, 1))
            session = Session(secrets.token_hex(8), bot, intents, (number, count))
            self._begin(connection, session)

    def _begin(self, connection: Connection, session: Session) -> None:
        self.n_identified += 1
        self.sessions[session.id] = session
        session.connection, connection.session = connection, session
        guilds = [one for one in self._world.guilds.values() if session.bot in one.members]
        guilds = [one for one in guilds if session.sees(one)]
        ready = {
            "v": 10,
            "user": payloads.own_user_json(session.bot),
            "guilds": [{"id": str(one.id), "unavailable": True} for one in guilds],
            "session_id": session.id,
            "resume_gateway_url": self._base_url().replace("http", "ws", 1) + "/resume/",
            "shard": list(session.shard),
            "application": {"id": str(session.bot.id), "flags": 0},
            "private_channels": [],
        }
        session.dispatch("READY", ready)
        for guild in guilds:
            if guild.is_available and session.intents & INTENT_GUILDS:
                session.dispatch("GUILD_CREATE", self._guild_json(session, guild))
        self._changed()

    def _resume(self, connection: Connection, data: Json) -> None:
        session = self.sessions.get(str(data.get("session_id")))
        sequence = data.get("seq") or 0
        if self._bot(data) is None:
            connection.close(WRONG_TOKEN)
        elif session is None or not session.can_resume_from(sequence):
            connection.send({"op": INVALID, "d": False})
        else:
            if session.connection is not None:
                session.connection.session = None
                session.connection.close(4000)
            self.n_resumed += 1
            session.connection, connection.session = connection, session
            for payload in session.after(sequence):
                connection.send(payload)
            session.dispatch("RESUMED", {})
        self._changed()

    def _leave(self, connection: Connection, code: int | None) -> None:
        self.connections.remove(connection)
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection = None
            # Where the fake closed, the code is only what the client echoed.
            if code in ENDS_SESSION and not connection.is_closing:
                self.sessions.pop(session.id, None)
        self._changed()

    def _bring_members(self, session: Session, data: Json) -> None:
        guild = self._world.guilds.get(int(data.get("guild_id", 0)))
        if guild is None:
            return
        members = [
            {**payloads.member_json(guild, one), "user": payloads.user_json(one)} for one in guild.members
        ]
        chunk = {"guild_id": str(guild.id), "members": members, "chunk_index": 0, "chunk_count": 1}
        session.dispatch("GUILD_MEMBERS_CHUNK", {**chunk, "nonce": data.get("nonce")})

    def _bot(self, data: Any) -> Bot | None:
        token = data.get("token") if isinstance(data, dict) else None
        return next((one for one in self._world.bots() if one.token == token), None)

    def _may_hear(self, session: Session, event: Event) -> bool:
        if event.only is not None:
            return session.bot is event.only and session.sees(event.guild)
        if event.guild is not None and session.bot not in event.guild.members:
            return False
        if not session.sees(event.guild):
            return False
        channel = event.channel
        if event.message is None:
            return event.guild is not None and bool(session.intents & INTENT_GUILDS)
        assert channel is not None, "a message has a channel"
        if event.message.is_ephemeral:
            return False
        if channel.kind is ChannelKind.DIRECT:
            wanted = session.bot in channel.people and session.sees(None)
            return wanted and bool(session.intents & INTENT_DIRECT_MESSAGES)
        assert event.guild is not None, "only direct messages have no guild"
        is_shown = event.guild.is_available and not channel.denies("view_channel")
        return is_shown and bool(session.intents & INTENT_GUILD_MESSAGES)

    def _data(self, session: Session, event: Event) -> Json:
        if event.name == "GUILD_CREATE":
            assert event.guild is not None, "that is what it is about"
            return self._guild_json(session, event.guild)
        if event.name == "MESSAGE_DELETE":
            assert event.message is not None, "that is what it is about"
            gone = {"id": str(event.message.id), "channel_id": str(event.message.channel.id)}
            return gone | ({"guild_id": str(event.guild.id)} if event.guild else {})
        if event.message is not None:
            return self._message_json(session, event.message)
        made = payloads.channel_json(event.channel) if event.channel and not event.data else dict(event.data)
        return made | ({"newly_created": True} if event.name == "THREAD_CREATE" else {})

    def _message_json(self, session: Session, message: Posted) -> Json:
        data = payloads.message_json(message, self._base_url())
        guild = message.channel.guild
        if guild is None:
            return {**data, "channel_type": 1}
        data |= {"guild_id": str(guild.id), "member": payloads.member_json(guild, message.author)}
        knows = (
            session.intents & INTENT_MESSAGE_CONTENT
            or session.bot is message.author
            or session.bot in message.pinged
        )
        if not knows:
            data |= {"content": "", "attachments": [], "embeds": [], "components": []}
        for user in data["mentions"]:
            user["member"] = payloads.member_json(guild, self._world.users[int(user["id"])])
        return data

    def _guild_json(self, session: Session, guild: Guild) -> Json:
        return payloads.guild_json(guild, session.bot, self._world.threads(guild))

"""What a bot's gateway session keeps: its sequence, and the events that a RESUME brings again."""

from __future__ import annotations

import json
import zlib
from asyncio import Queue
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web

from botkit.testing.discord.world import Bot, Guild, Json

REPLAYED_EVENTS = 1000

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT, MEMBERS, INVALID, HELLO, ACK = (
    0, 1, 2, 3, 6, 7, 8, 9, 10, 11,
)  # fmt: skip


class Connection:
    """One WebSocket; what is sent goes out in order, and a slow reader holds nobody up."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, *, is_compressed: bool) -> None:
        """Speak over *socket*, through one zlib stream if *is_compressed*."""
        self.session: Session | None = None
        self.is_silent = False
        self.is_closing = False
        self._socket, self._request = socket, request
        self._stream = zlib.compressobj() if is_compressed else None
        self._outgoing: Queue[Json | str | int] = Queue()

    def send(self, payload: Json | str) -> None:
        """Send *payload*, or the text as it is, unless the connection has gone silent."""
        if not self.is_silent:
            self._outgoing.put_nowait(payload)

    def close(self, code: int) -> None:
        """Close with *code* after what was sent before."""
        self.is_closing = True
        self._outgoing.put_nowait(code)

    def abort(self) -> None:
        """Cut the line: the peer gets no close frame."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def write(self) -> None:
        """Send what is waiting, for as long as this runs."""
        while True:
            item = await self._outgoing.get()
            if isinstance(item, int):
                await self._socket.close(code=item)
                return
            text = item if isinstance(item, str) else json.dumps(item)
            if self._socket.closed:
                return
            if self._stream is None:
                await self._socket.send_str(text)
            else:
                packed = self._stream.compress(text.encode()) + self._stream.flush(zlib.Z_SYNC_FLUSH)
                await self._socket.send_bytes(packed)


@dataclass(eq=False)
class Session:
    """A session; it outlives its connections, so that it can be resumed."""

    id: str
    bot: Bot
    intents: int
    shard: tuple[int, int] = (0, 1)
    sequence: int = 0
    connection: Connection | None = None
    log: deque[Json] = field(default_factory=lambda: deque(maxlen=REPLAYED_EVENTS))

    def dispatch(self, name: str, data: Json) -> None:
        """Give an event the next number, keep it, and send it if somebody listens."""
        self.sequence += 1
        payload = {"op": DISPATCH, "t": name, "s": self.sequence, "d": data}
        self.log.append(payload)
        if self.connection is not None:
            self.connection.send(payload)

    def can_resume_from(self, sequence: int) -> bool:
        """Tell whether everything after *sequence* is still here."""
        first = self.log[0]["s"] if self.log else self.sequence + 1
        return first - 1 <= sequence <= self.sequence

    def after(self, sequence: int) -> list[Json]:
        """Return the events after *sequence*; that an earlier RESUME succeeded is no news."""
        return [one for one in self.log if one["s"] > sequence and one["t"] != "RESUMED"]

    def sees(self, guild: Guild | None) -> bool:
        """Tell whether this shard is the one for *guild*; direct messages come to the first."""
        number, count = self.shard
        return (guild.id >> 22) % count == number if guild else number == 0

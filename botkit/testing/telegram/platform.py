"""The platform itself: its bots, its server, and who is told of what."""

from __future__ import annotations

import asyncio
import itertools
from types import TracebackType
from typing import Self

from botkit.clock import SystemClock
from botkit.protocols import Clock
from botkit.testing.bell import Bell
from botkit.testing.telegram.account import Account
from botkit.testing.telegram.faults import Flood, FloodControl
from botkit.testing.telegram.server import HOST, Call, Server
from botkit.testing.telegram.webhook import WebhookSender
from botkit.testing.telegram.world import Chat, Message, User, World

WEBHOOK_TIMEOUT_S = 60.0


class Platform:
    """Keeps the state and serves it; what people do and what goes wrong is built on it.

    ``async with`` opens and closes it.  Its state outlives the bots, and its own ``stop`` and ``start``.
    Dates, expiry, flood control and waiting polls go by *clock*; *flood* switches flood control on.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        flood: Flood | None = None,
        webhook_timeout_s: float = WEBHOOK_TIMEOUT_S,
        port: int = 0,
    ) -> None:
        """Prepare an empty platform; *port* 0 takes a free one."""
        self.clock = clock or SystemClock()
        self._bell = Bell()
        self._world = World(self.clock)
        self._server = Server(self._world, self._bell, self.clock, FloodControl(self.clock, flood))
        self._server.port = port
        self._webhook_timeout_s = webhook_timeout_s
        self._senders: list[asyncio.Task[None]] = []
        self._ids = itertools.count(1)
        self._serving = False

    async def __aenter__(self) -> Self:
        """Open the socket."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.stop()

    async def start(self) -> None:
        """Serve, at the same address as before if there was one."""
        await self._server.start()
        self._serving = True
        for account in self._server.accounts.values():
            self._serve_webhook(account)

    async def stop(self) -> None:
        """Be down: connections are closed, new ones refused; nothing is forgotten."""
        self._serving = False
        senders, self._senders = self._senders, []
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        for gate in self._server.gates:
            gate.open()
        await self._server.stop()

    @property
    def base_url(self) -> str:
        """What a client puts before the token."""
        return f"http://{HOST}:{self._server.port}/bot"

    @property
    def base_file_url(self) -> str:
        """What a client puts before the token when it fetches a file."""
        return f"http://{HOST}:{self._server.port}/file/bot"

    @property
    def calls(self) -> list[Call]:
        """Every call of the API so far, in the order in which they came."""
        return self._server.calls

    def calls_of(self, method: str) -> list[Call]:
        """Return the calls of one method."""
        return [call for call in self.calls if call.method == method]

    def add_bot(
        self, token: str, name: str = "testbot", *, reads_all: bool = True, has_topics: bool = False
    ) -> Account:
        """Register a bot; without *reads_all* groups show it only what is meant for it."""
        user = User(int(token.partition(":")[0]), name, name, is_bot=True)
        account = Account(token, user, self.clock, self._bell, reads_all, has_topics)
        self._server.accounts[token] = account
        if self._serving:
            self._serve_webhook(account)
        return account

    def _first_bot(self) -> Account:
        return next(iter(self._server.accounts.values()))

    def _tell(self, chat: Chat, kind: str, message: Message) -> None:
        for account in self._server.accounts.values():
            is_in = chat.bot in (None, account.user) and account.user.id not in chat.refused_bots
            is_in = is_in and account.user is not message.sender
            if is_in and _is_seen(account, message):
                account.updates.put(kind, message.to_api())
        self._bell.ring()

    def _account_of(self, user: User) -> Account:
        return next(a for a in self._server.accounts.values() if a.user is user)

    def _serve_webhook(self, account: Account) -> None:
        answer, timeout_s = self._server.answer, self._webhook_timeout_s
        sender = WebhookSender(account, self.clock, self._bell, answer, timeout_s)
        self._senders.append(asyncio.ensure_future(sender.run()))


def _is_seen(bot: Account, message: Message) -> bool:
    """Tell whether *bot* gets to see *message*: without ``reads_all`` only what is meant for it."""
    if bot.reads_all or message.chat.is_private or message.service or message.text.startswith("/"):
        return True
    replied = message.chat.messages.get(message.reply_to or 0)
    return f"@{bot.user.username}" in message.text or (replied is not None and replied.sender is bot.user)

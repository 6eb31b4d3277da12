"""The fake platform as a test holds it: people who write, bots that are watched, faults to order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from botkit.clock import SystemClock
from botkit.protocols import Clock
from botkit.testing.telegram.account import Account, Press
from botkit.testing.telegram.bell import Bell
from botkit.testing.telegram.content import found_entities
from botkit.testing.telegram.faults import Fault, Flood, FloodControl, Gate
from botkit.testing.telegram.server import HOST, Call, Server
from botkit.testing.telegram.webhook import WebhookSender
from botkit.testing.telegram.world import Chat, Draft, Json, Message, Topic, User, Version, World

DRAFT_LIFETIME_S = 30.0
WEBHOOK_TIMEOUT_S = 60.0


class FakeTelegram:
    """A Bot API server on a loopback socket, with the people and chats behind it.

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

    # People and chats

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

    def user(self, name: str, username: str = "") -> User:
        """Return a new person."""
        return self._world.new_user(name, username)

    def private(self, user: User, bot: Account | None = None, *, topics: bool = False) -> Chat:
        """Return the private chat of *user* with *bot* (the first one), already started."""
        return self._world.private_chat(user, (bot or self._first_bot()).user, has_topics=topics)

    def group(
        self, title: str, *, topics: bool = False, supergroup: bool = True, admins: Sequence[User] = ()
    ) -> Chat:
        """Return a new group with every bot in it; *topics* makes it a forum."""
        chat = self._world.new_group(title, is_super=supergroup or topics, is_forum=topics)
        chat.admins.update(user.id for user in admins)
        return chat

    def topic(self, chat: Chat, name: str, user: User | None = None) -> Topic:
        """Open a topic in *chat*; bots are told."""
        made = self._world.new_topic(chat, user or self._somebody(chat), name)
        self._tell(chat, "message", chat.messages[made.id])
        return made

    def _first_bot(self) -> Account:
        return next(iter(self._server.accounts.values()))

    def _somebody(self, chat: Chat) -> User:
        return chat.person or self._world.new_user("Owner")

    # What people do

    async def say(
        self,
        chat: Chat,
        user: User,
        text: str,
        *,
        reply_to: int | None = None,
        topic: Topic | int | None = None,
        entities: Sequence[Json] | None = None,
    ) -> int:
        """Let *user* write in *chat*; return the message's id."""
        found = found_entities(text) if entities is None else tuple(entities)
        return self._said(chat, user, Version(text, found), reply_to, topic)

    async def say_file(
        self,
        chat: Chat,
        user: User,
        name: str,
        content: bytes,
        *,
        caption: str = "",
        mime_type: str = "text/plain",
        reply_to: int | None = None,
        topic: Topic | int | None = None,
    ) -> int:
        """Let *user* send a file, or a picture if *mime_type* is of one; return the message's id."""
        file = self._world.new_file(name, content, mime_type)
        version = Version(caption, found_entities(caption))
        photo = mime_type.startswith("image/")
        return self._said(chat, user, version, reply_to, topic, file=file, is_photo=photo)

    def _said(
        self,
        chat: Chat,
        user: User,
        version: Version,
        reply_to: int | None,
        topic: Topic | int | None,
        **rest: Any,
    ) -> int:
        thread = topic.id if isinstance(topic, Topic) else topic
        if thread is None and reply_to is not None:
            thread = chat.messages[reply_to].topic
        message = self._world.new_message(chat, user, version, reply_to=reply_to, topic=thread, **rest)
        self._tell(chat, "message", message)
        return message.id

    async def edit(self, chat: Chat, message_id: int, text: str) -> None:
        """Let a person change a message of theirs; bots get ``edited_message``."""
        message = chat.messages[message_id]
        message.edits.append(Version(text, found_entities(text), message.markup, self.clock.now()))
        self._tell(chat, "edited_message", message)

    async def remove(self, chat: Chat, message_id: int) -> None:
        """Delete a message; as on the platform no bot is told."""
        chat.messages[message_id].deleted = True
        self._bell.ring()

    async def press(self, message: Message, button: str, user: User) -> Press:
        """Let *user* press the button under *message* that has this data or label; raises LookupError."""
        found = next((b for b in message.buttons if button in (b.data, b.text) and b.data is not None), None)
        if found is None or found.data is None:
            raise LookupError(f"no button {button!r} under message {message.id}")
        account = self._account_of(message.sender)
        press = Press(str(next(self._ids) + 4_000_000_000), found.data, self.clock.monotonic())
        account.presses[press.id] = press
        query = {"id": press.id, "from": user.to_api(), "message": message.to_api(), "data": found.data}
        account.updates.put("callback_query", {**query, "chat_instance": str(message.chat.id)})
        return press

    async def press_stop(self, chat: Chat) -> Draft:
        """Press the stop button of the draft in *chat*; raises LookupError where there is none."""
        draft = self.draft(chat)
        if draft is None or not draft.can_stop or chat.bot is None:
            raise LookupError(f"no draft that can be stopped in chat {chat.id}")
        stopped: Json = {"chat": chat.to_api(), "draft_id": draft.id}
        if draft.topic is not None:
            stopped["message_thread_id"] = draft.topic
        self._account_of(chat.bot).updates.put("stopped_message_generation", stopped)
        return draft

    # What is to be seen

    def messages(self, chat: Chat, *, deleted: bool = False) -> list[Message]:
        """Return the messages of *chat* as they stand, with the *deleted* ones only if asked for."""
        return [m for m in chat.messages.values() if (deleted or not m.deleted) and not m.service]

    def answers(self, chat: Chat) -> list[Message]:
        """Return the messages of bots in *chat* as they stand."""
        return [message for message in self.messages(chat) if message.from_bot]

    def draft(self, chat: Chat, topic: int | None = None) -> Draft | None:
        """Return the draft that *chat* shows, or None: it goes after 30 s, or when a message comes."""
        draft = chat.shown_drafts.get(topic)
        gone = draft is None or self.clock.monotonic() - draft.at_s > DRAFT_LIFETIME_S
        return None if gone else draft

    async def wait_for(self, condition: Callable[[], object], timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Return once *condition* holds; raises TimeoutError after *timeout* real seconds.

        It is asked again whenever something happens on the platform, so it may only be about that.
        """
        await self._bell.wait_for(condition, timeout)

    # What goes wrong

    def fail(
        self,
        method: str,
        *,
        status: int = 500,
        retry_after: int | None = None,
        times: int = 1,
        skip: int = 0,
        after_effect: bool = False,
        cut: bool = False,
        description: str = "",
        body: str | None = None,
        delay_s: float = 0.0,
        chat: Chat | None = None,
    ) -> Fault:
        """Let calls of *method* (``*`` for any) fail; see ``faults.Fault`` for what the words mean."""
        chat_id = chat.id if chat is not None else None
        rest = (retry_after, times, skip, after_effect, cut, description, body, delay_s, chat_id)
        fault = Fault(method, status, *rest)
        self._server.faults.coming.append(fault)
        return fault

    def hold(self, method: str, *, after_effect: bool = False) -> Gate:
        """Hold the calls of *method*, before or after they have their effect, until the gate is opened."""
        gate = Gate(method, after_effect=after_effect)
        self._server.gates.append(gate)
        return gate

    def _tell(self, chat: Chat, kind: str, message: Message) -> None:
        for account in self._server.accounts.values():
            is_in = chat.bot in (None, account.user) and account.user.id not in chat.refused_bots
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

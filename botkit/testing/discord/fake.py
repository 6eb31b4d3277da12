"""A Discord of one's own: what a test says to it, and what it sees there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from botkit.clock import SystemClock
from botkit.protocols import Clock
from botkit.testing.bell import Bell
from botkit.testing.discord import interactions as acts
from botkit.testing.discord.calls import Call, Calls
from botkit.testing.discord.drafts import REPLY, attached, find_mentions
from botkit.testing.discord.faults import MALFORMED, UNKNOWN, CallFault, Gate
from botkit.testing.discord.gateway import Gateway
from botkit.testing.discord.interactions import Interaction, Interactions
from botkit.testing.discord.limits import NO_LIMITS, Limiter, RateLimits
from botkit.testing.discord.rest import Rest
from botkit.testing.discord.routes import API, add_interactions, add_rest
from botkit.testing.discord.sessions import INVALID, RECONNECT
from botkit.testing.discord.world import Bot, Channel, Event, Guild, Posted, User, World

HOST = "127.0.0.1"
WAIT_S = 5.0


class FakeDiscord:
    """Discord's REST API and Gateway on a loopback socket, for unmodified clients.

    Everything lives here, so a bot may be killed and come back.  ``async with`` opens and closes it; limits
    are off unless given.  What a test waits for, it waits for with ``wait_for``.
    """

    def __init__(self, clock: Clock | None = None, *, limits: RateLimits = NO_LIMITS, port: int = 0) -> None:
        """Make an empty one; *port* 0 takes a free one, *clock* decides what has expired."""
        self.clock: Clock = clock or SystemClock()
        self._bell, self._port = Bell(), port
        self._world = World(self.clock, self._tell)
        self._gateway = Gateway(self._world, lambda: self.url, self._bell.ring)
        self._limiter = Limiter(limits, self.clock)
        self._calls = Calls(self._world, self.clock, self._limiter, self._bell.ring)
        self._rest = Rest(self._world, lambda: self.url)
        self._interactions = Interactions(self._world, lambda: self.url)
        self._owner = self.user("owner")
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Begin to serve."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut all lines and stop."""
        await self.stop()

    async def start(self) -> None:
        """Be up, at the same address as before; ``async with`` does this."""
        app = web.Application(client_max_size=32 * 1024 * 1024)
        add_rest(app, self._calls, self._rest)
        add_interactions(app, self._calls, self._interactions)
        for path in ("/gateway/", "/resume/"):
            app.router.add_get(path, self._gateway.serve)
        app.router.add_get("/attachments/{channel}/{attachment}/{name}", self._serve_attachment)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be down: all lines are cut and new ones refused; nothing is forgotten, sessions neither."""
        for gate in self._calls.gates:
            gate.open()
        self.drop_connections()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # Where it is

    @property
    def url(self) -> str:
        """The root of everything, attachments too."""
        return f"http://{HOST}:{self._port}"

    @property
    def api_base(self) -> str:
        """What ``discord.http.Route.BASE`` has to be."""
        return self.url + API

    @property
    def gateway_url(self) -> str:
        """What ``DiscordWebSocket.DEFAULT_GATEWAY`` has to be."""
        return f"ws://{HOST}:{self._port}/gateway/"

    # Who and what there is

    def add_bot(self, token: str, *, name: str = "testbot", message_content: bool = True) -> Bot:
        """Return a new bot; it is a member of every server opened after it."""
        bot = Bot(self._world.new_id(), name, is_bot=True, token=token, message_content=message_content)
        self._world.add_user(bot)
        return bot

    def user(self, name: str, *, is_bot: bool = False) -> User:
        """Return a new person, or a bot of somebody else."""
        user = User(self._world.new_id(), name, is_bot)
        self._world.add_user(user)
        return user

    def guild(self, name: str, *members: User) -> Guild:
        """Open a server with all bots in it, and *members*; who speaks or presses there becomes one."""
        return self._world.add_guild(name, self._owner, [*self._world.bots(), *members])

    def channel(self, guild: Guild, name: str) -> Channel:
        """Open a text channel."""
        return self._world.add_channel(guild, name)

    def thread(self, channel: Channel, name: str, owner: User | None = None) -> Channel:
        """Open a thread."""
        return self._world.add_thread(channel, name, owner or self._owner)

    def dm(self, user: User, bot: Bot | None = None) -> Channel:
        """Return the direct channel of *user* with *bot*, or with the only bot there is."""
        return self._world.direct(bot or next(iter(self._world.bots())), user)

    def deny(self, channel: Channel, *permissions: str) -> None:
        """Take *permissions* ("send_messages", ...) from everybody in *channel*; none gives all back."""
        channel.denied = set(permissions)
        self._world.change_channel(channel)

    def archive(self, thread: Channel, *, locked: bool = False) -> None:
        """Put *thread* aside; speaking in it opens it again, unless *locked*."""
        thread.is_archived, thread.is_locked = True, locked
        self._world.change_channel(thread)

    # What people do

    async def say(
        self,
        channel: Channel,
        user: User,
        text: str,
        *,
        reply_to: int | None = None,
        attachments: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """Let *user* say *text* in *channel*, and return the message's id."""
        _join(channel, user)
        message = Posted(
            self._world.new_id(),
            channel,
            user,
            text,
            self.clock.now(),
            kind=REPLY if reply_to else 0,
            reply_to=reply_to,
            attachments=attached(
                self._world, [(name, content, "text/plain") for name, content in attachments]
            ),
        )
        find_mentions(self._world, message)
        return self._world.post(message).id

    async def edit(self, channel: Channel, message_id: int, text: str) -> None:
        """Let somebody change what they said."""
        message = channel.posted[message_id]
        message.text = text
        find_mentions(self._world, message)
        self._world.rewrite(message)

    async def delete(self, channel: Channel, message_id: int) -> None:
        """Let somebody delete a message, the bot's too."""
        self._world.remove(channel.posted[message_id])

    async def press(self, message: Posted, button: str, user: User) -> Interaction:
        """Let *user* press the button of that label or custom_id; raises LookupError if there is none."""
        for one in message.buttons:
            if button in (one.get("label"), one.get("custom_id")) and not one.get("disabled"):
                assert isinstance(message.author, Bot), "only bots show buttons"
                data = {"custom_id": one["custom_id"], "component_type": 2}
                _join(message.channel, user)
                return self._interactions.begin(
                    message.author, user, message.channel, acts.COMPONENT, data, message
                )
        raise LookupError(f"message {message.id} shows no button {button!r}")

    async def slash(
        self, channel: Channel, user: User, name: str, *, bot: Bot | None = None, **options: Any
    ) -> Interaction:
        """Let *user* call the command *name*; raises LookupError if the bot has not synced it."""
        bot = bot or next(iter(self._world.bots()))
        data = acts.command_data(bot, channel, name, options)
        _join(channel, user)
        return self._interactions.begin(bot, user, channel, acts.COMMAND, data)

    # What can be seen

    def messages(self, channel: Channel) -> list[Posted]:
        """Return the messages as they stand, oldest first."""
        return [channel.posted[one] for one in sorted(channel.posted)]

    @property
    def deleted(self) -> list[Posted]:
        """All messages that were deleted."""
        return self._world.deleted

    @property
    def calls(self) -> list[Call]:
        """All calls of the REST API, in order: operation, body, status, time."""
        return self._calls.made

    def calls_of(self, operation: str) -> list[Call]:
        """Return the calls of one kind: "send", "edit", "typing", "history", ... (see ``routes.py``)."""
        return [one for one in self._calls.made if one.operation == operation]

    @property
    def n_connected(self) -> int:
        """How many connections have a session, by IDENTIFY or RESUME."""
        return sum(one.session is not None for one in self._gateway.connections)

    @property
    def gateway(self) -> Gateway:
        """The Gateway: its sessions, and how often somebody identified, resumed, sent a heartbeat."""
        return self._gateway

    async def wait_for(self, condition: Callable[[], object], timeout: float | None = WAIT_S) -> None:  # noqa: ASYNC109
        """Return once *condition* holds, looking at every change; raises TimeoutError."""
        await self._bell.wait_for(condition, timeout)

    # What goes wrong with calls

    def fail(
        self,
        operation: str,
        *,
        status: int = 500,
        retry_after: float = 1.0,
        times: int = 1,
        after_effect: bool = False,
        cut: bool = False,
        is_global: bool = False,
        via: bool = True,
        code: int = 0,
        message: str = "",
        delay_s: float = 0.0,
    ) -> None:
        """Let the next *times* calls of *operation* ("*": of any) fail with *status*, or with the line *cut*.

        *after_effect*: what was asked for has happened all the same.  *status* 0 only delays the answer by
        *delay_s*.  *via* false makes a 429 look like a ban by Cloudflare.
        """
        self._calls.faults.waiting.append(
            CallFault(
                operation,
                status,
                retry_after,
                times,
                after_effect,
                cut,
                is_global,
                via,
                code,
                message,
                delay_s,
            )
        )

    def hold(self, operation: str, *, after_effect: bool = False) -> Gate:
        """Hold the calls of *operation*, before or after they have their effect, until the gate is opened."""
        gate = Gate(operation, after_effect=after_effect)
        self._calls.gates.append(gate)
        return gate

    def limit(self, limits: RateLimits) -> None:
        """Exchange the rate limits."""
        self._limiter.limits = limits

    # What goes wrong with the Gateway; each returns how many connections it met

    def reconnect_request(self) -> int:
        """Ask everybody to connect again (op 7)."""
        return self._gateway.each(lambda one: one.send({"op": RECONNECT, "d": None}))

    def invalidate_session(self, *, resumable: bool = False) -> int:
        """Tell everybody that the session is invalid (op 9); it is forgotten unless *resumable*."""
        n_met = self._gateway.each(lambda one: one.send({"op": INVALID, "d": resumable}))
        if not resumable:
            self._gateway.forget()
        return n_met

    def close_connections(self, code: int = 4000) -> int:
        """Close every connection with *code*."""
        return self._gateway.each(lambda one: one.close(code))

    def drop_connections(self) -> int:
        """Cut every connection without a word."""
        return self._gateway.each(lambda one: one.abort())

    def go_silent(self) -> int:
        """Let every connection live on without a word: no events, no heartbeat ACK."""

        def silence(one: Any) -> None:
            one.is_silent = True

        return self._gateway.each(silence)

    def forget_sessions(self) -> None:
        """Forget all sessions, so that no RESUME succeeds; connections stay open and hear nothing more."""
        self._gateway.forget()

    def refuse_handshakes(self, times: int = 1, status: int = 503) -> None:
        """Refuse the next *times* connections."""
        self._gateway.faults.n_refused, self._gateway.faults.refusal_status = times, status

    def duplicate_next(self, times: int = 1) -> None:
        """Bring the next *times* messages twice."""
        self._gateway.faults.n_doubled += times

    def swap_next(self) -> None:
        """Bring the next message after the one that follows it."""
        self._gateway.faults.n_swapped += 1

    def malformed_event(self) -> None:
        """Send a MESSAGE_CREATE that is nonsense; a RESUME from before it brings it again."""
        for session in self._gateway.sessions.values():
            session.dispatch(*MALFORMED)

    def unknown_event(self) -> None:
        """Send an event of a kind that nobody knows yet."""
        for session in self._gateway.sessions.values():
            session.dispatch(*UNKNOWN)

    def set_available(self, guild: Guild, *, available: bool) -> None:
        """Let *guild* have an outage (GUILD_DELETE, unavailable), or come back from it (GUILD_CREATE)."""
        guild.is_available = available
        if available:
            self._world.tell(Event("GUILD_CREATE", guild))
        else:
            self._world.tell(Event("GUILD_DELETE", guild, data={"id": str(guild.id), "unavailable": True}))

    def _tell(self, event: Event) -> None:
        self._gateway.tell(event)

    async def _serve_attachment(self, request: web.Request) -> web.StreamResponse:
        channel = self._world.channels.get(int(request.match_info["channel"]))
        for message in channel.posted.values() if channel else ():
            for one in message.attachments:
                if str(one.id) == request.match_info["attachment"]:
                    return web.Response(body=one.content, content_type=one.content_type)
        return web.Response(status=404)


def _join(channel: Channel, user: User) -> None:
    if channel.guild is not None and user not in channel.guild.members:
        channel.guild.members.append(user)

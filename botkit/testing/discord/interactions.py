"""Slash commands and buttons: what is sent to the bot, and how long it may answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botkit.testing.discord import drafts, payloads
from botkit.testing.discord.calls import Call
from botkit.testing.discord.refusal import (
    Refusal,
    invalid_form,
    unknown,
    unknown_interaction,
    unknown_message,
)
from botkit.testing.discord.world import Bot, Channel, Event, Json, Posted, User, World

FIRST_ANSWER_S = 3.0
TOKEN_LIVES_S = 15 * 60.0

COMMAND, COMPONENT = 2, 3
PONG, ANSWER, THINKING, LATER, UPDATE, CHOICES, FORM = 1, 4, 5, 6, 7, 8, 9
EPHEMERAL, LOADING = 1 << 6, 1 << 7
COMMAND_MESSAGE = 20
TEXT_OPTION, INTEGER_OPTION, BOOLEAN_OPTION, SUBCOMMAND, GROUP = 3, 4, 5, 1, 2


@dataclass(eq=False)
class Interaction:
    """A command or a press; ``response`` is Discord's number of the first answer, 0 before it."""

    id: int
    token: str
    bot: Bot
    user: User
    channel: Channel
    kind: int
    made_at_s: float
    pressed: Posted | None = None
    response: int = 0
    original: Posted | None = None
    body: Json | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the bot has answered in time, if only with a *deferred*."""
        return self.response != 0


class Interactions:
    """Keeps interactions and the commands by which they begin."""

    def __init__(self, world: World, base_url: Callable[[], str]) -> None:
        """Work on *world*; *base_url* is where the fake is."""
        self._world, self._base_url = world, base_url
        self.all: dict[int, Interaction] = {}

    def begin(
        self, bot: Bot, user: User, channel: Channel, kind: int, data: Json, pressed: Posted | None = None
    ) -> Interaction:
        """Let *user* do something and tell *bot* about it."""
        made = Interaction(
            self._world.new_id(),
            secrets.token_hex(16),
            bot,
            user,
            channel,
            kind,
            self._world.clock.monotonic(),
            pressed,
        )
        self.all[made.id] = made
        event = Event("INTERACTION_CREATE", channel.guild, channel, data=self._event(made, data), only=bot)
        self._world.tell(event)
        return made

    def put_commands(self, call: Call) -> list[Json]:
        """Replace the commands of the bot, everywhere or in one server."""
        if not isinstance(call.body, list):
            raise invalid_form("_", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        guild_id = call.number("guild") if "guild" in call.where else 0
        made = [self._command(call.bot, guild_id, one) for one in call.body]
        call.bot.commands[guild_id] = made
        return made

    def get_commands(self, call: Call) -> list[Json]:
        """Return the commands of the bot."""
        return call.bot.commands.get(call.number("guild") if "guild" in call.where else 0, [])

    def respond(self, call: Call) -> Json | None:
        """Take the first answer; it must come within three seconds, and once."""
        one = self.all.get(call.number("interaction"))
        if one is None or one.token != call.where["token"]:
            raise unknown_interaction()
        if one.is_answered:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        if self._world.clock.monotonic() - one.made_at_s > FIRST_ANSWER_S:
            raise unknown_interaction()
        kind, data = int(call.body.get("type", 0)), call.body.get("data") or {}
        if kind not in (PONG, ANSWER, THINKING, LATER, UPDATE, CHOICES, FORM):
            raise invalid_form("type", "BASE_TYPE_CHOICES", "Value must be one of {1, 4, 5, 6, 7, 8, 9}.")
        self._show_answer(one, kind, data, call)
        one.response, one.body = kind, call.body
        return self._told(one) if call.query.get("with_response") in ("1", "true") else None

    def follow_up(self, call: Call) -> Json:
        """Post one more message; the first one after a deferred answer takes its place."""
        one = self._living(call)
        if one.original is not None and one.original.is_thinking:
            return self._fill(one.original, call)
        message = drafts.drafted(self._world, one.channel, one.bot, call)
        message.interaction = self._metadata(one)
        return self._json(self._world.post(message))

    def get_message(self, call: Call) -> Json:
        """Return a message of the interaction."""
        return self._json(self._message(self._living(call), call))

    def edit_message(self, call: Call) -> Json:
        """Change a message of the interaction, or write the deferred one."""
        return self._fill(self._message(self._living(call), call), call)

    def delete_message(self, call: Call) -> None:
        """Take a message of the interaction away."""
        self._world.remove(self._message(self._living(call), call))

    def _show_answer(self, one: Interaction, kind: int, data: Json, call: Call) -> None:
        inner = Call(**{**vars(call), "body": data})
        if kind == ANSWER:
            one.original = drafts.drafted(self._world, one.channel, one.bot, inner)
        elif kind == THINKING:
            flags = LOADING | int(data.get("flags") or 0) & EPHEMERAL
            now = self._world.clock.now()
            one.original = Posted(self._world.new_id(), one.channel, one.bot, "", now, flags=flags)
        elif kind in (LATER, UPDATE):
            one.original = one.pressed
            if kind == UPDATE and one.pressed is not None:
                drafts.changed(self._world, one.pressed, inner)
                self._world.rewrite(one.pressed)
        if kind in (ANSWER, THINKING) and one.original is not None:
            one.original.interaction = self._metadata(one)
            one.original.kind = COMMAND_MESSAGE if one.kind == COMMAND else drafts.REPLY
            if one.pressed is not None:
                one.original.reply_to = one.pressed.id
            self._world.post(one.original)

    def _fill(self, message: Posted, call: Call) -> Json:
        message.flags &= ~LOADING
        drafts.changed(self._world, message, call)
        self._world.rewrite(message)
        return self._json(message)

    def _living(self, call: Call) -> Interaction:
        for one in self.all.values():
            if one.token == call.where["token"] and str(one.bot.id) == call.where["application"]:
                if self._world.clock.monotonic() - one.made_at_s > TOKEN_LIVES_S:
                    raise Refusal(401, 50027, "Invalid Webhook Token")
                if not one.is_answered:
                    raise unknown("Webhook", 10015)
                return one
        raise unknown("Webhook", 10015)

    def _message(self, one: Interaction, call: Call) -> Posted:
        name = call.where["message"]
        message = one.original if name == "@original" else one.channel.posted.get(call.number("message"))
        if message is None or message.is_deleted:
            raise unknown_message()
        return message

    def _told(self, one: Interaction) -> Json:
        told: Json = {"id": str(one.id), "type": one.kind}
        resource: Json = {"type": one.response}
        if one.original is not None:
            told |= {
                "response_message_id": str(one.original.id),
                "response_message_loading": one.original.is_thinking,
                "response_message_ephemeral": one.original.is_ephemeral,
            }
            if one.response != LATER:
                resource["message"] = self._json(one.original)
        return {"interaction": told, "resource": resource}

    def _metadata(self, one: Interaction) -> Json:
        owners = {"0": str(one.channel.guild.id if one.channel.guild else 0)}
        made: Json = {"id": str(one.id), "type": one.kind, "user": payloads.user_json(one.user)}
        made["authorizing_integration_owners"] = owners
        if one.pressed is not None:
            made["interacted_message_id"] = str(one.pressed.id)
        return made

    def _event(self, one: Interaction, data: Json) -> Json:
        channel, guild = one.channel, one.channel.guild
        event: Json = {
            "id": str(one.id),
            "application_id": str(one.bot.id),
            "type": one.kind,
            "token": one.token,
            "version": 1,
            "channel_id": str(channel.id),
            "channel": {**payloads.channel_json(channel), "permissions": payloads.ALL_PERMISSIONS},
            "data": data,
            "locale": "en-US",
            "app_permissions": payloads.ALL_PERMISSIONS,
            "entitlements": [],
            "attachment_size_limit": 10 * 1024 * 1024,
            "authorizing_integration_owners": {"0": str(guild.id if guild else 0)},
            "context": 0 if guild else 1,
        }
        user = payloads.user_json(one.user)
        if guild is not None:
            member = {**payloads.member_json(guild, one.user), "user": user}
            member["permissions"] = payloads.ALL_PERMISSIONS
            event |= {"guild_id": str(guild.id), "guild_locale": "en-US", "member": member}
        else:
            event["user"] = user
        if one.pressed is not None:
            event["message"] = self._json(one.pressed)
        return event

    def _command(self, bot: Bot, guild_id: int, body: Json) -> Json:
        if not body.get("name"):
            raise invalid_form("name", "BASE_TYPE_REQUIRED", "This field is required")
        plain: Json = {
            "type": 1,
            "description": "",
            "options": [],
            "default_member_permissions": None,
            "dm_permission": True,
            "nsfw": False,
            "contexts": None,
            "integration_types": [0],
            "version": "1",
        }
        own = {"id": str(self._world.new_id()), "application_id": str(bot.id)}
        return plain | body | own | ({"guild_id": str(guild_id)} if guild_id else {})

    def _json(self, message: Posted) -> Json:
        return payloads.message_json(message, self._base_url())


def command_data(bot: Bot, channel: Channel, name: str, given: dict[str, Any]) -> Json:
    """Return what *bot* is told of the command *name* (with a space before each subcommand).

    Raises LookupError where the bot has not told Discord of such a command.
    """
    first, *rest = name.split()
    here = bot.commands.get(channel.guild.id, []) if channel.guild else []
    command = next((one for one in (*here, *bot.commands.get(0, [])) if one["name"] == first), None)
    if command is None:
        raise LookupError(f"{bot.name} has no command /{first}; it has to be synced first")
    types = command
    for word in rest:
        types = next(one for one in types["options"] if one["name"] == word)
    known = {one["name"]: one["type"] for one in types.get("options") or ()}
    options: list[Json] = [{"name": key, "type": known[key], "value": value} for key, value in given.items()]
    for depth, word in reversed(list(enumerate(rest))):
        kind = GROUP if depth < len(rest) - 1 else SUBCOMMAND
        options = [{"name": word, "type": kind, "options": options}]
    return {"id": command["id"], "name": first, "type": command["type"], "options": options}

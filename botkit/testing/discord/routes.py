"""Which path of Discord's API is which call."""

from __future__ import annotations

from aiohttp import web

from botkit.testing.discord.calls import Calls, Handler
from botkit.testing.discord.interactions import Interactions
from botkit.testing.discord.rest import Rest

API = "/api/v10"


def add_rest(app: web.Application, calls: Calls, rest: Rest) -> None:
    """Serve what is about messages, channels and servers."""
    message = "/channels/{channel}/messages/{message}"
    table: list[tuple[str, str, str, Handler]] = [
        ("me", "GET", "/users/@me", rest.me),
        ("application", "GET", "/applications/@me", rest.application),
        ("application", "GET", "/oauth2/applications/@me", rest.application),
        ("gateway", "GET", "/gateway", rest.gateway),
        ("gateway", "GET", "/gateway/bot", rest.gateway),
        ("direct", "POST", "/users/@me/channels", rest.open_direct),
        ("user", "GET", "/users/{user}", rest.user),
        ("guild", "GET", "/guilds/{guild}", rest.guild),
        ("guild", "GET", "/guilds/{guild}/channels", rest.guild_channels),
        ("threads", "GET", "/guilds/{guild}/threads/active", rest.guild_threads),
        ("member", "GET", "/guilds/{guild}/members/{user}", rest.guild_member),
        ("channel", "GET", "/channels/{channel}", rest.channel),
        ("channel", "PATCH", "/channels/{channel}", rest.change_channel),
        ("send", "POST", "/channels/{channel}/messages", rest.send),
        ("history", "GET", "/channels/{channel}/messages", rest.history),
        ("message", "GET", message, rest.message),
        ("edit", "PATCH", message, rest.edit),
        ("delete", "DELETE", message, rest.delete),
        ("typing", "POST", "/channels/{channel}/typing", rest.show_typing),
        ("thread", "POST", "/channels/{channel}/threads", rest.start_thread),
        ("thread", "POST", message + "/threads", rest.start_thread),
        ("join", "PUT", "/channels/{channel}/thread-members/@me", rest.nothing),
        ("reaction", "PUT", message + "/reactions/{emoji}/@me", rest.nothing),
        ("reaction", "DELETE", message + "/reactions/{emoji}/@me", rest.nothing),
    ]
    for operation, method, path, do in table:
        _add(app, calls, (operation, method, path, do), needs_token=True)


def add_interactions(app: web.Application, calls: Calls, interactions: Interactions) -> None:
    """Serve commands, which need the bot's token, and interactions, which carry one of their own."""
    commands = "/applications/{application}/commands"
    guild_commands = "/applications/{application}/guilds/{guild}/commands"
    for path in (commands, guild_commands):
        _add(app, calls, ("sync", "PUT", path, interactions.put_commands), needs_token=True)
        _add(app, calls, ("commands", "GET", path, interactions.get_commands), needs_token=True)
    hook = "/webhooks/{application}/{token}"
    message = hook + "/messages/{message}"
    callback = "/interactions/{interaction}/{token}/callback"
    table: list[tuple[str, str, str, Handler]] = [
        ("respond", "POST", callback, interactions.respond),
        ("follow", "POST", hook, interactions.follow_up),
        ("follow_get", "GET", message, interactions.get_message),
        ("follow_edit", "PATCH", message, interactions.edit_message),
        ("follow_delete", "DELETE", message, interactions.delete_message),
    ]
    for entry in table:
        _add(app, calls, entry, needs_token=False)


def _add(
    app: web.Application, calls: Calls, entry: tuple[str, str, str, Handler], *, needs_token: bool
) -> None:
    operation, method, path, do = entry

    async def serve(request: web.Request) -> web.StreamResponse:
        return await calls.answer(request, operation, do, needs_token=needs_token)

    app.router.add_route(method, API + path, serve)

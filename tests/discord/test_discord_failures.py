"""Nothing that discord.py or its network raises reaches the core in foreign words."""

from __future__ import annotations

import inspect
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import aiohttp.client_exceptions
import discord
import pytest
from botkit_discord.failures import FOREIGN, MessageGone, config_error, is_transient, platform_error
from discord import app_commands
from discord.ext import commands

from botkit.errors import ConfigError, PlatformError, Undeliverable


def answer(status: int, code: int = 0) -> Any:
    """An HTTP error of Discord's."""
    kinds: dict[int, type[discord.HTTPException]] = {403: discord.Forbidden, 404: discord.NotFound}
    kind = kinds.get(status, discord.DiscordServerError if status >= 500 else discord.HTTPException)
    return kind(SimpleNamespace(status=status, reason="no"), {"code": code, "message": "no"})  # type: ignore[arg-type]


def closed(code: int) -> discord.ConnectionClosed:
    return discord.ConnectionClosed(SimpleNamespace(close_code=code), shard_id=None, code=code)  # type: ignore[arg-type]


def all_below(base: type[BaseException]) -> list[type[BaseException]]:
    found = [base]
    for one in found:
        found += [below for below in one.__subclasses__() if below not in found]
    return found


AIOHTTP = [
    one
    for one in vars(aiohttp.client_exceptions).values()
    if inspect.isclass(one) and issubclass(one, Exception)
]


@pytest.mark.parametrize("kind", all_below(discord.DiscordException), ids=lambda one: one.__name__)
def test_every_exception_of_discord_py_is_caught(kind: type[BaseException]) -> None:
    assert issubclass(kind, FOREIGN)


@pytest.mark.parametrize("kind", AIOHTTP, ids=lambda one: one.__name__)
def test_every_exception_of_aiohttp_is_caught(kind: type[BaseException]) -> None:
    assert issubclass(kind, FOREIGN)


def test_the_commands_extension_is_in_the_table() -> None:
    assert {app_commands.AppCommandError, commands.CommandError} <= set(all_below(discord.DiscordException))


@pytest.mark.parametrize(
    ("error", "kind", "passes"),
    [
        (answer(400, 50035), Undeliverable, False),
        (answer(401), PlatformError, False),
        (answer(403, 50013), Undeliverable, False),
        (answer(403, 50007), Undeliverable, False),
        (answer(404, 10003), Undeliverable, False),
        (answer(404, 10008), MessageGone, False),
        (answer(429), PlatformError, False),
        (answer(500), PlatformError, True),
        (answer(503), PlatformError, True),
        (discord.RateLimited(90.0), PlatformError, False),
        (discord.GatewayNotFound(), PlatformError, False),
        (discord.InvalidData("no"), PlatformError, False),
        (aiohttp.ServerDisconnectedError(), PlatformError, True),
        (aiohttp.ClientOSError(104, "reset"), PlatformError, True),
        (aiohttp.ClientPayloadError(), PlatformError, True),
        (ssl.SSLError("no"), PlatformError, True),
        (ConnectionResetError(104, "reset"), PlatformError, True),
        (TimeoutError(), PlatformError, True),
        (RuntimeError("Session is closed"), PlatformError, False),
        (KeyError("id"), PlatformError, False),
        (ValueError("no JSON"), PlatformError, False),
    ],
    ids=repr,
)
def test_a_failure_has_its_kind(error: BaseException, kind: type[PlatformError], passes: bool) -> None:
    translated = platform_error(error, "sending")

    assert type(translated) is kind
    assert translated.line().startswith("discord: sending failed: ")
    assert is_transient(error) is passes


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (discord.LoginFailure("Improper token has been passed."), "adapters.discord.token"),
        (closed(4004), "adapters.discord.token"),
        (discord.PrivilegedIntentsRequired(None), "message content intent"),
        (closed(4014), "message content intent"),
        (closed(4011), "shards"),
        (closed(4013), "intents invalid"),
    ],
    ids=repr,
)
def test_what_the_operator_must_mend_is_a_config_error(error: BaseException, words: str) -> None:
    wrong = config_error(error)

    assert isinstance(wrong, ConfigError)
    assert words in wrong.line()


@pytest.mark.parametrize("error", [closed(4000), closed(1006), answer(503), KeyError("seq")], ids=repr)
def test_what_passes_is_no_config_error(error: BaseException) -> None:
    assert config_error(error) is None

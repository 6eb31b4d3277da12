"""Discord as a platform, through an unmodified discord.py.

This module only registers; discord.py is imported when the adapter is created.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botkit.hookspecs import AdapterSpec, hookimpl
from botkit.protocols import Adapter


def _create(settings: Any) -> Adapter:
    from botkit_discord.adapter import DiscordAdapter
    from botkit_discord.settings import DiscordSettings

    return DiscordAdapter(DiscordSettings(**settings.adapters.get("discord", {})))


def _settings() -> type[Any]:
    from botkit_discord.settings import DiscordSettings

    return DiscordSettings


@hookimpl
def register_adapters(register: Callable[[AdapterSpec], None]) -> None:
    """Offer Discord as a platform; its settings are the section ``adapters.discord``."""
    register(
        AdapterSpec(
            name="discord",
            create=_create,
            settings=_settings,
            summary="a bot in Discord servers and direct messages",
        )
    )

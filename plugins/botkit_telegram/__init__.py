"""Telegram: polling or a webhook, answers that grow, and nothing confirmed before it is stored.

This module only registers; the platform's library is imported when the adapter is created.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botkit.hookspecs import AdapterSpec, hookimpl
from botkit.protocols import Adapter


def _create(settings: Any) -> Adapter:
    from botkit_telegram.adapter import TelegramAdapter
    from botkit_telegram.settings import TelegramSettings

    return TelegramAdapter(TelegramSettings(**settings.adapters.get("telegram", {})))


def _settings() -> type[Any]:
    from botkit_telegram.settings import TelegramSettings

    return TelegramSettings


@hookimpl
def register_adapters(register: Callable[[AdapterSpec], None]) -> None:
    """Offer Telegram as a platform; its settings are ``adapters.telegram``."""
    register(
        AdapterSpec(
            name="telegram",
            create=_create,
            settings=_settings,
            summary="Telegram bot: private chats, groups and forum topics",
        )
    )

"""The web chat, the OpenAI-compatible API, and the endpoints that watch the bot.

This module only registers; the web framework is imported when the adapter is created.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botkit.hookspecs import AdapterSpec, hookimpl
from botkit.protocols import Adapter


def _create(settings: Any) -> Adapter:
    from botkit_web.adapter import WebAdapter

    return WebAdapter(settings)


def _enabled(settings: Any) -> bool:
    return bool(settings.web.enabled)


@hookimpl
def register_adapters(register: Callable[[AdapterSpec], None]) -> None:
    """Offer the web as a platform; its settings are the section ``web``."""
    register(
        AdapterSpec(
            name="web",
            create=_create,
            enabled=_enabled,
            summary="chat page, OpenAI-compatible API, health and metrics",
        )
    )

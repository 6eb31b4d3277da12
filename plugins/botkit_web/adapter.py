"""The web as a platform: one server for the page, the API and the endpoints that watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from botkit.errors import ConfigError
from botkit.protocols import ChatService
from botkit_web.gate import is_loopback
from botkit_web.server import address, listen, serving
from botkit_web.site import Site


class WebAdapter:
    """Serves until it is cancelled; implements ``protocols.Adapter``."""

    name = "web"

    def __init__(self, settings: Any) -> None:
        """Keep the section ``web`` of *settings*."""
        self._web = settings.web

    async def run(self, service: ChatService, started: Callable[[str], None]) -> None:
        """Serve until cancelled, then close within a few seconds; *started* gets the address.

        Raises ConfigError for a host beyond this machine without a key, EnvironmentFailure for a host or a
        port that cannot be had.
        """
        if not is_loopback(self._web.host) and self._web.api_key is None:
            raise ConfigError(
                f"web.host {self._web.host} is reached from other machines, so web.api_key must be set",
                hint="set web.api_key or web.api_key_file, or use web.host=127.0.0.1",
            )
        with listen(self._web.host, self._web.port) as listener:
            site = Site(service)
            async with site.open(), serving(site.app, listener, site.closing) as running:
                started(address(listener))
                await asyncio.shield(running)

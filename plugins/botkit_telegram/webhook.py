"""A webhook: Telegram calls us, and gets its 200 only once the update may be forgotten there."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from botkit.errors import ConfigError, EnvironmentFailure, StoreError
from botkit_telegram.client import KINDS, Client
from botkit_telegram.failures import MISBEHAVIOUR
from botkit_telegram.intake import Intake
from botkit_telegram.settings import TelegramSettings

log = structlog.get_logger(__name__)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - its name
MAX_BODY_BYTES = 1024 * 1024
CLOSE_GRACE_S = 2.0


class Webhook:
    """Listens for updates.  Only calls with the secret token are let in."""

    def __init__(self, settings: TelegramSettings, intake: Intake) -> None:
        """Listen as *settings* say; raises ConfigError where they name no address for Telegram."""
        if not settings.webhook_url:
            raise ConfigError(
                "adapters.telegram.webhook_url is not set", hint="it is the address that Telegram calls"
            )
        self._settings, self._intake = settings, intake
        self._secret = settings.secret_token.get_secret_value() or secrets.token_urlsafe(32)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the context is open.  Raises EnvironmentFailure for an address that cannot be had."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post(urlsplit(self._settings.webhook_url).path or "/", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_GRACE_S)
        await runner.setup()
        try:
            host, port = self._settings.listen, self._settings.port
            try:
                await web.TCPSite(runner, host, port).start()
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise EnvironmentFailure(
                    f"cannot listen on {host} port {port}: {reason}",
                    hint="choose others with adapters.telegram.listen and adapters.telegram.port",
                ) from None
            yield
        finally:
            await runner.cleanup()

    async def register(self, client: Client) -> None:
        """Tell Telegram where to call; raises PlatformError."""
        try:
            await client.bot.set_webhook(
                self._settings.webhook_url,
                secret_token=self._secret,
                allowed_updates=KINDS,
                max_connections=1,  # more would bring updates out of their order
            )
        except MISBEHAVIOUR as error:
            raise client.translated(error, "setWebhook") from None

    async def _take(self, request: web.Request) -> web.Response:
        given = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            return web.Response(status=403)
        try:
            raw = json.loads(await request.read())
        except (ValueError, RecursionError):
            log.warning("webhook_body_unreadable")
            return web.Response(status=400)
        try:
            await self._intake.take(raw)
        except StoreError as error:
            log.warning("update_not_stored", error=error.line())
            return web.Response(status=503)
        return web.Response()

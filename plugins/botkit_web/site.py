"""The whole site as one ASGI application: gate, API, health, and the chat page if it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp

from botkit.errors import BotkitError
from botkit.protocols import ChatService
from botkit_web.api import make_api
from botkit_web.api_errors import describe
from botkit_web.gate import Gate
from botkit_web.health import make_health
from botkit_web.keys import ApiKey, Cookies, open_secret


class Site:
    """The application, and what it needs to open and to close.

    ``app`` serves inside ``async with site.open()`` only.
    """

    def __init__(self, service: ChatService) -> None:
        """Put the parts together from *service* and its settings; opens nothing."""
        web = service.settings.web
        self.closing = asyncio.Event()
        self._service = service
        self._key = ApiKey(web.api_key.get_secret_value() if web.api_key else "")
        self._cookies = Cookies(open_secret(service.settings.data_dir), self._key) if web.page else None
        self._inner = FastAPI(openapi_url=None)
        self._inner.add_exception_handler(BotkitError, _tell)
        self._inner.include_router(make_health(service))
        self._inner.mount("/v1", make_api(service, self.closing))
        self.app: ASGIApp = Gate(self._inner, host=web.host, key=self._key, cookies=self._cookies)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve the chat page, too, where it is wanted; on leaving, end what it began."""
        if self._cookies is None:
            yield
            return
        from botkit_web.key_page import make_key_form
        from botkit_web.page import serving_page

        self._inner.include_router(make_key_form(self._service, self._key, self._cookies))
        async with serving_page(self._inner, self._service):
            yield


async def _tell(request: Request, error: Exception) -> Response:
    assert isinstance(error, BotkitError)
    return describe(error).response()

"""The gate that every request passes first: host, origin, key, browser; and the headers every answer gets."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fastapi import Response
from fastapi.responses import PlainTextResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from botkit_web.api import unauthorized
from botkit_web.key_page import key_page
from botkit_web.keys import ApiKey, Cookies, is_secure

OPEN_PATHS = ("/livez", "/readyz", "/key")
PATHS = (*OPEN_PATHS, "/metrics", "/", "/favicon.ico")
FOLDERS = ("/v1/", "/c/", "/static/", "/_nicegui/", "/_nicegui_ws/")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
MISDIRECTED, POLICY_VIOLATION = 421, 1008

PERSON = "botkit.person"
"""The key of the ASGI scope under which pages find the browser's id."""

POLICY = "; ".join(
    (
        "default-src 'self'",
        # The page's framework compiles its templates in the browser.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Tell whether *host*, a name or an address to listen on, is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Gate:
    """An ASGI middleware that lets through whoever may come in.

    On loopback only names of this machine are answered, so that a foreign site cannot give its own name our
    address (DNS rebinding); a foreign site's own requests, which say where they come from, are refused.
    """

    def __init__(self, app: ASGIApp, *, host: str, key: ApiKey, cookies: Cookies | None) -> None:
        """Guard *app*, which listens on *host*; without *cookies* there is no page."""
        self._app, self._key, self._cookies = app, key, cookies
        self._hosts: frozenset[str] | None = None
        if is_loopback(host):
            self._hosts = frozenset({"localhost", "127.0.0.1", "[::1]", _bare(host), f"[{_bare(host)}]"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None and scope["type"] == "websocket":
            await WebSocketClose(POLICY_VIOLATION)(scope, receive, send)
            return
        cookie = self._recognise(scope, headers)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in SECURITY_HEADERS.items():
                    answered.setdefault(name, value)
                if cookie:
                    answered.append("set-cookie", cookie)
            await send(message)

        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """Return the answer to a request that must not pass, or None."""
        host = headers.get("host", "")
        if self._hosts is not None and _without_port(host).lower() not in self._hosts:
            return PlainTextResponse("this machine does not go by that name here\n", MISDIRECTED)
        if scope["path"] not in PATHS and not scope["path"].startswith(FOLDERS):
            return PlainTextResponse("there is nothing here\n", 404)
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        origin = headers.get("origin")
        if changes and origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return PlainTextResponse("requests from other sites are refused\n", 403)
        if not self._key or scope["path"] in OPEN_PATHS or self._may_enter(headers):
            return None
        return self._ask_for_key(scope, headers)

    def _may_enter(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._key.opens(given.strip())
        return self._cookies is not None and self._cookies.has_pass(headers.get("cookie", ""))

    def _ask_for_key(self, scope: Scope, headers: Headers) -> Response:
        if self._cookies is not None and is_page(scope) and "text/html" in headers.get("accept", ""):
            return key_page(401)
        return unauthorized()

    def _recognise(self, scope: Scope, headers: Headers) -> str | None:
        """Note who asks for a page; return the cookie that a new browser gets."""
        if self._cookies is None or not is_page(scope):
            return None
        scope[PERSON] = self._cookies.person(headers.get("cookie", ""))
        if scope[PERSON]:
            return None
        scope[PERSON] = self._cookies.new_person()
        return self._cookies.person_cookie(scope[PERSON], secure=is_secure(scope))


def is_page(scope: Scope) -> bool:
    """Tell whether a page is asked for, rather than something that a page needs."""
    path = str(scope["path"])
    is_read = scope["type"] == "http" and scope["method"] == "GET"
    return is_read and (path == "/" or path.startswith("/c/"))


def _bare(host: str) -> str:
    return host.lower().strip("[]")


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and (not name or name.endswith("]") or ":" not in name) else host

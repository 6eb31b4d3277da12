"""Pointing one client at another address than Discord's own.

discord.py has its addresses in class attributes, which all clients of a process share.  Here each request
of one client is rewritten instead: its REST calls on the client's own HTTP object, and what it answers to
interactions through a context variable that only its own tasks see.  The gateway's address is an argument
of the connection (``client.py``).  So two clients of one process may talk to two servers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import discord
from discord.http import Route
from discord.webhook.async_ import AsyncWebhookAdapter, async_context


def point(client: discord.Client, api_base: str) -> None:
    """Let *client*, and the tasks that the current one starts, call *api_base*; do it before the login."""
    base = api_base.rstrip("/")
    if base == Route.BASE:
        return
    request = client.http.request

    async def pointed(route: Route, **options: Any) -> Any:
        _rewrite(route, base)
        return await request(route, **options)

    # An attribute of the object covers the method of its class, for this client alone.
    setattr(client.http, "request", pointed)  # noqa: B010
    async_context.set(_Pointed(base))


class _Pointed(AsyncWebhookAdapter):
    """Answers to interactions, at another address."""

    def __init__(self, base: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._base = base

    def request(self, route: Route, *args: Any, **options: Any) -> Any:
        """Send one request."""
        _rewrite(route, self._base)
        send: Callable[..., Awaitable[Any]] = super().request
        return send(route, *args, **options)


def _rewrite(route: Route, base: str) -> None:
    if route.url.startswith(Route.BASE):
        route.url = base + route.url.removeprefix(Route.BASE)

"""The Bot API over HTTP on a loopback socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from botkit.protocols import Clock
from botkit.testing.bell import Bell
from botkit.testing.telegram.account import Account
from botkit.testing.telegram.faults import Fault, Faults, FloodControl, Gate
from botkit.testing.telegram.methods import METHODS, known_name
from botkit.testing.telegram.params import Params, Upload
from botkit.testing.telegram.refusal import Refused, bad_request
from botkit.testing.telegram.world import Json, World

MAX_REQUEST_BYTES = 64 * 2**20
WEBHOOK_IS_SET = (
    "Conflict: can't use getUpdates method while webhook is active; "
    "use deleteWebhook to delete the webhook first"
)
HOST = "127.0.0.1"


@dataclass(eq=False)
class Call:
    """One call of the API as it was made; ``status`` is what it was answered, 0 for a cut connection."""

    method: str
    params: Json
    bot: str
    at_s: float
    status: int | None = None


class Server:
    """Answers calls for the bots in ``accounts``; the state outlives its stops and starts."""

    def __init__(self, world: World, bell: Bell, clock: Clock, flood: FloodControl) -> None:
        """Prepare; ``start`` opens the socket."""
        self._world, self._bell, self._clock, self._flood = world, bell, clock, flood
        self.accounts: dict[str, Account] = {}
        self.calls: list[Call] = []
        self.faults = Faults()
        self.gates: list[Gate] = []
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._closing = False

    async def start(self) -> None:
        """Open the socket: a free port at first, the same one later."""
        self._closing = False
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
        application.router.add_route("*", "/bot{token:[^/]+}/{method}", self._on_call)
        application.router.add_get("/file/bot{token:[^/]+}/{path:.+}", self._on_file)
        application.router.add_route("*", "/{rest:.*}", self._on_nothing)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the socket and every connection."""
        self._closing = True
        for account in self.accounts.values():
            account.updates.interrupt()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def answer(
        self, bot: Account, method: str, params: Params, is_connected: Callable[[], bool] = lambda: True
    ) -> Any:
        """Do what a call asks, and return its result; raises Refused."""
        chat_id = params.text("chat_id")
        self._flood.count(bot.user.id, method, chat_id)
        if method == "getUpdates":
            return await self._get_updates(bot, params, is_connected)
        try:
            return METHODS[method](self._world, bot, params)
        finally:
            self._bell.ring()

    async def _get_updates(
        self, bot: Account, params: Params, is_connected: Callable[[], bool]
    ) -> list[Json]:
        if bot.hook.url:
            raise Refused(409, WEBHOOK_IS_SET)
        bot.updates.allow(params.strings("allowed_updates", "allowed updates"))
        limit = params.integer("limit") or 100
        timeout_s = float(params.integer("timeout") or 0)
        return await bot.updates.poll(params.integer("offset") or 0, limit, timeout_s, is_connected)

    async def _on_call(self, request: web.Request) -> web.StreamResponse:
        bot, method = self.accounts.get(request.match_info["token"]), known_name(request.match_info["method"])
        if bot is None:
            return _json(Refused(401))
        if method is None:
            return _json(Refused(404))
        try:
            params = await _params(request)
        except Refused as refusal:
            return _json(refusal)
        call = Call(method, params.values, bot.token, self._clock.monotonic())
        self.calls.append(call)
        self._bell.ring()
        response = await self._respond(request, bot, method, params)
        call.status = response.status if response is not None else 0
        self._bell.ring()
        return response if response is not None else _cut(request)

    async def _respond(
        self, request: web.Request, bot: Account, method: str, params: Params
    ) -> web.Response | None:
        """Return the answer, whatever faults and gates make of it; None for a connection that is cut."""
        fault = self.faults.take(method, params.text("chat_id"))
        await self._wait_at_gates(method, after_effect=False)
        if fault is not None and not fault.after_effect:
            await self._clock.sleep(fault.delay_s)
            if fault.status != web.HTTPOk.status_code:
                return _failed(fault)
        answer: web.Response | None
        try:
            answer = _json(await self.answer(bot, method, params, lambda: request.transport is not None))
        except Refused as refusal:
            answer = _json(refusal)
        self._bell.ring()
        await self._wait_at_gates(method, after_effect=True)
        if fault is not None and fault.after_effect:
            await self._clock.sleep(fault.delay_s)
            answer = answer if fault.status == web.HTTPOk.status_code else _failed(fault)
        return None if self._closing else answer

    async def _wait_at_gates(self, method: str, *, after_effect: bool) -> None:
        for gate in self.gates:
            if gate.method in ("*", method) and gate.after_effect == after_effect:
                passing = gate.pass_through()
                self._bell.ring()
                await passing

    async def _on_file(self, request: web.Request) -> web.Response:
        file = self._world.files.get(request.match_info["path"].rpartition("/")[2])
        if request.match_info["token"] not in self.accounts or file is None:
            return _json(Refused(404))
        return web.Response(body=file.content, content_type="application/octet-stream")

    async def _on_nothing(self, request: web.Request) -> web.Response:
        return _json(Refused(404))


def _failed(fault: Fault) -> web.Response | None:
    if fault.cut:
        return None
    if fault.body is not None:
        return web.Response(status=fault.status, text=fault.body, content_type="text/html")
    return _json(fault.refusal())


def _json(answer: Any) -> web.Response:
    status = answer.status if isinstance(answer, Refused) else 200
    body = answer.to_api() if isinstance(answer, Refused) else {"ok": True, "result": answer}
    headers = {"Retry-After": str(answer.parameters["retry_after"])} if status == 429 else None
    return web.json_response(body, status=status, headers=headers)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _params(request: web.Request) -> Params:
    values: Json = dict(request.query)
    uploads: dict[str, Upload] = {}
    if request.content_type == "application/json":
        try:
            values.update(json.loads(await request.text() or "{}"))
        except ValueError:
            raise bad_request("can't parse JSON object") from None
        return Params(values)
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            content = await asyncio.to_thread(value.file.read)
            uploads[name] = Upload(value.filename, content, value.content_type)
        else:
            values[name] = value if isinstance(value, str) else bytes(value).decode()
    return Params(values, uploads)

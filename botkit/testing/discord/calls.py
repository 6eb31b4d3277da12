"""One call of the REST API, from the socket to the answer: token, faults, limits, effect."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from botkit.protocols import Clock
from botkit.testing.discord.faults import CallFault, CallFaults, Gate
from botkit.testing.discord.limits import VIA, Limiter
from botkit.testing.discord.refusal import Refusal, unauthorized
from botkit.testing.discord.world import Bot, Json, World


@dataclass(eq=False)
class Call:
    """What a bot asked for; ``status`` is what it was told, 0 if the line was cut."""

    operation: str
    method: str
    path: str
    where: dict[str, str]
    query: dict[str, str]
    body: Any
    files: list[tuple[str, bytes, str]]
    at_s: float
    caller: Bot | None = None
    status: int = 0

    @property
    def bot(self) -> Bot:
        """Who asked; only calls that need no token have nobody."""
        if self.caller is None:
            raise unauthorized()
        return self.caller

    def number(self, name: str) -> int:
        """Return an id out of the path."""
        value = self.where[name]
        return int(value) if value.isdecimal() else 0


Handler = Callable[[Call], Any]


@dataclass
class Calls:
    """Answers calls; ``made`` has them all, in the order in which they came."""

    world: World
    clock: Clock
    limiter: Limiter
    changed: Callable[[], None]
    faults: CallFaults = field(default_factory=CallFaults)
    made: list[Call] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)

    async def answer(
        self, request: web.Request, operation: str, do: Handler, *, needs_token: bool = True
    ) -> web.StreamResponse:
        """Let *do* carry out *request*, unless a token, a fault or a limit stands against it."""
        call = await self._read(request, operation)
        self.made.append(call)
        self.changed()
        fault = self.faults.take(operation)
        if fault is not None and fault.delay_s:
            await self.clock.sleep(fault.delay_s)
        await self._wait(operation, after_effect=False)
        verdict = self.limiter.judge(operation, self._token(request), call.where.get("channel", ""))
        if fault is not None and not fault.after_effect and fault.status:
            response = self._failed(fault)
        elif needs_token and call.caller is None:
            response = _refusal(unauthorized(), VIA)
        elif verdict.is_refused:
            said = CallFault(operation, 429, verdict.retry_after_s, is_global=verdict.is_global)
            response = _json(429, said.body(), verdict.headers)
        else:
            response = self._done(call, do, verdict.headers)
            if fault is not None and fault.status:
                response = self._failed(fault)
        await self._wait(operation, after_effect=True)
        is_cut = fault is not None and fault.cut
        call.status = 0 if is_cut else response.status
        self.changed()
        if is_cut and request.transport is not None:
            request.transport.abort()
        return response

    async def _wait(self, operation: str, *, after_effect: bool) -> None:
        self.changed()
        for gate in self.gates:
            if gate.operation in (operation, "*") and gate.after_effect == after_effect:
                await gate.pass_through(self.changed)

    def _done(self, call: Call, do: Handler, headers: dict[str, str]) -> web.Response:
        try:
            made = do(call)
        except Refusal as refusal:
            return _refusal(refusal, headers)
        if made is None:
            return web.Response(status=204, headers=headers)
        return _json(200, made, headers)

    def _failed(self, fault: CallFault) -> web.Response:
        headers = dict(VIA) if fault.via else {}
        if fault.status == 429:
            headers |= {"Retry-After": str(int(fault.retry_after_s) + 1), "X-RateLimit-Scope": "user"}
        return _json(fault.status, fault.body(), headers)

    async def _read(self, request: web.Request, operation: str) -> Call:
        files: list[tuple[str, bytes, str]] = []
        body: Any = {}
        if request.content_type == "multipart/form-data":
            async for part in await request.multipart():
                assert isinstance(part, BodyPartReader), "Discord's forms are flat"
                content = bytes(await part.read())
                if part.name == "payload_json":
                    body = _parsed(content)
                else:
                    kind = part.headers.get("Content-Type", "application/octet-stream")
                    files.append((part.filename or "file", content, kind))
        elif request.can_read_body:
            body = _parsed(await request.read())
        return Call(
            operation, request.method, request.path, dict(request.match_info), dict(request.query),
            body, files, self.clock.monotonic(), self._caller(request),
        )  # fmt: skip

    def _token(self, request: web.Request) -> str:
        return request.headers.get("Authorization", "").removeprefix("Bot ")

    def _caller(self, request: web.Request) -> Bot | None:
        token = self._token(request)
        return next((one for one in self.world.bots() if one.token == token), None)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if content else {}
    except ValueError:
        return {}


def _json(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    # Without a charset, as Discord: discord.py compares the whole header.
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/json", headers=headers
    )


def _refusal(refusal: Refusal, headers: dict[str, str]) -> web.Response:
    body: Json = refusal.body
    return _json(refusal.status, body, headers)

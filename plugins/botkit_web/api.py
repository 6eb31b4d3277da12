"""The OpenAI-compatible API: models, chat completions, completions."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from botkit.errors import BotkitError, UnknownNameError
from botkit.protocols import ChatService
from botkit.types import GenerationRequest, PromptTurn
from botkit_web.api_answer import AnswerStream, Shape, answer_at_once
from botkit_web.api_errors import INVALID, ApiError, Problem, describe
from botkit_web.api_schema import ChatRequest, CompletionRequest, parse
from botkit_web.api_schema import Request as Form
from botkit_web.api_shapes import ChatShape, CompletionShape
from botkit_web.attention import Attention, ClientGoneError
from botkit_web.body import read_body

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 1024 * 1024
MAX_DEADLINE_MS = 3_600_000
WIRE_ID = re.compile(r"[A-Za-z0-9._:@/+=-]{1,200}")
CLIENT_CLOSED = 499


def make_api(service: ChatService, closing: asyncio.Event) -> FastAPI:
    """Return the application that is mounted at ``/v1``; *closing* is set when the server stops."""
    api = FastAPI(openapi_url=None)
    api.add_exception_handler(BotkitError, _tell)
    api.add_exception_handler(HTTPException, _tell_http)
    api.add_exception_handler(Exception, _tell_unforeseen)
    started = int(service.clock.now().timestamp())

    def entry(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started, "owned_by": "botkit"}

    @api.get("/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [entry(name) for name in service.models()]}

    @api.get("/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        if name not in service.models():
            raise UnknownNameError("model", name, service.models())
        return entry(name)

    @api.post("/chat/completions")
    async def chat(request: Request) -> Response:
        form = parse(ChatRequest, await read_body(request, MAX_BODY_BYTES))
        turns = tuple(
            PromptTurn("system" if turn.role == "developer" else turn.role, turn.content)
            for turn in form.messages
        )
        work = replace(_work(service, request, form), turns=turns)
        shape = ChatShape(_id("chatcmpl"), form.model, _now(service), work.sampling.logprobs is not None)
        return await _answer(service, request, form, work, shape, closing)

    @api.post("/completions")
    async def completions(request: Request) -> Response:
        form = parse(CompletionRequest, await read_body(request, MAX_BODY_BYTES))
        work = replace(_work(service, request, form), prompt=form.prompt)
        shape = CompletionShape(_id("cmpl"), form.model, _now(service), work.sampling.logprobs is not None)
        return await _answer(service, request, form, work, shape, closing)

    return api


async def _answer(
    service: ChatService,
    request: Request,
    form: Form,
    work: GenerationRequest,
    shape: Shape,
    closing: asyncio.Event,
) -> Response:
    """Return the answer to *work* in the way that *form* asks for it."""
    headers = {"x-request-id": request.headers.get("x-request-id", work.id)}
    log.info("api_request_taken", id=work.id, model=work.model, stream=form.stream)
    if form.stream:
        include_usage = form.stream_options is not None and form.stream_options.include_usage
        return AnswerStream(service, work, shape, closing, include_usage=include_usage, headers=headers)
    if form.stream_options is not None:
        raise ApiError("stream_options needs stream to be true", param="stream_options")
    try:
        async with Attention(request.receive, closing):
            return JSONResponse(await answer_at_once(service, work, shape), headers=headers)
    except ClientGoneError:
        return Response(status_code=CLIENT_CLOSED)


def _work(service: ChatService, request: Request, form: Form) -> GenerationRequest:
    """Return what *form* and the headers ask for, without its text."""
    settings = service.settings
    given_id = _wire_id(request, "x-request-id")
    # Two clients may send the same id, but no two requests at work may have one.
    own_id = f"{given_id}.{secrets.token_hex(4)}" if given_id else _id("req")
    return GenerationRequest(
        id=own_id,
        model=form.model,
        sampling=form.sampling(settings.sampling),
        session=_wire_id(request, "x-session-id"),
        person=form.user or (request.client.host if request.client else "api"),
        deadline_s=_deadline_s(request, settings.queue.deadline_s),
        reply_limit_s=settings.engine.reply_limit_s,
    )


def _wire_id(request: Request, header: str) -> str:
    value = request.headers.get(header, "")
    if value and not WIRE_ID.fullmatch(value):
        raise ApiError(f"{header} may have up to 200 letters, digits and ._:@/+=-", param=header)
    return value


def _deadline_s(request: Request, default_s: float) -> float:
    value = request.headers.get("x-deadline-ms")
    if value is None:
        return default_s
    if not (value.isascii() and value.isdigit() and 0 < int(value[:12]) <= MAX_DEADLINE_MS):
        raise ApiError(f"x-deadline-ms is a number from 1 to {MAX_DEADLINE_MS}", param="x-deadline-ms")
    return int(value) / 1000


def _id(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(12)}"


def _now(service: ChatService) -> int:
    return int(service.clock.now().timestamp())


async def _tell(request: Request, error: Exception) -> Response:
    assert isinstance(error, BotkitError)
    problem = describe(error)
    tell: Callable[..., Any] = log.warning if problem.status >= 500 else log.info
    tell("api_request_failed", path=request.url.path, status=problem.status, error=error.line())
    return problem.response()


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}: {error.detail}"
    response = Problem(error.status_code, what, code="unknown_url").response()
    response.headers.update(error.headers or {})
    return response


async def _tell_unforeseen(request: Request, error: Exception) -> Response:
    # The server raises it again after this answer, so the log has the traceback.
    return Problem(500, BotkitError.public, "server_error").response()


def unauthorized() -> Response:
    """Return the answer to a request without the right key."""
    return Problem(401, "the API key is missing or wrong", INVALID, code="invalid_api_key").response()

"""Answering one request of the API: all at once, or as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import Response
from starlette.types import Receive, Scope, Send

from botkit.errors import BackendError, BotkitError
from botkit.protocols import ChatService
from botkit.types import Chunk, FinishReason, GenerationRequest, TokenLogprob, Usage
from botkit_web.api_errors import describe
from botkit_web.attention import Attention, ClientGoneError

SEND_LIMIT_S = 30.0
"""A client that takes nothing for so long is treated as gone: it must not hold the device."""

DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Answer:
    """What a request got: the whole of it, once its stream has ended."""

    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: FinishReason | None = None
    usage: Usage = Usage()  # noqa: RUF009 - frozen

    def take(self, chunk: Chunk) -> None:
        """Add *chunk*."""
        self.text += chunk.text
        self.logprobs += chunk.logprobs
        self.finish = chunk.finish or self.finish
        self.usage = chunk.usage or self.usage

    def ended(self) -> FinishReason:
        """Return how it ended; raises BackendError if the stream broke off."""
        if self.finish is None:
            raise BackendError("the stream ended without a finish")
        return self.finish


class Shape(Protocol):
    """How an answer looks on the wire: the chat form or the completions form."""

    def whole(self, answer: Answer, finish: str) -> dict[str, Any]:
        """Return the answer in one object."""

    def opening(self) -> dict[str, Any] | None:
        """Return what a stream begins with, if anything."""

    def piece(self, text: str, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        """Return a piece of a stream."""

    def closing(self, finish: str) -> dict[str, Any]:
        """Return the last piece of a stream."""

    def cost(self) -> dict[str, Any]:
        """Return the object that carries a stream's usage."""


async def answer_at_once(service: ChatService, request: GenerationRequest, shape: Shape) -> dict[str, Any]:
    """Return the whole answer to *request*, usage included; raises what the service raises."""
    answer = Answer()
    async with service.submit(request) as chunks:
        async for chunk in chunks:
            answer.take(chunk)
    return shape.whole(answer, wire_finish(answer.ended())) | {"usage": wire_usage(answer.usage)}


class AnswerStream(Response):
    """The answer to a request as server-sent events.

    Headers are sent with the first chunk, so that what goes wrong before has a status of its own; what goes
    wrong later is an event with an error, and the stream ends without ``[DONE]``.
    """

    def __init__(
        self,
        service: ChatService,
        request: GenerationRequest,
        shape: Shape,
        closing: asyncio.Event,
        *,
        include_usage: bool,
        headers: dict[str, str],
    ) -> None:
        """Keep what ``__call__`` needs; nothing is generated before it."""
        media_type = "text/event-stream; charset=utf-8"
        super().__init__(headers={**headers, "cache-control": "no-store"}, media_type=media_type)
        del self.headers["content-length"]
        self._service, self._request, self._shape, self._closing = service, request, shape, closing
        self._include_usage = include_usage
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Generate and send; leaving by any door ends the work."""
        try:
            async with Attention(receive, self._closing):
                await self._generate(send)
        except ClientGoneError:
            return
        except BotkitError as error:
            if not self._started:
                raise
            await self._send(send, _event(describe(error).body()))
        await self._send(send, b"", more=False)

    async def _generate(self, send: Send) -> None:
        answer = Answer()
        async with self._service.submit(self._request) as chunks:
            async for chunk in chunks:
                answer.take(chunk)
                await self._open(send)
                if chunk.text or chunk.logprobs:
                    await self._emit(send, self._shape.piece(chunk.text, chunk.logprobs))
        finish = wire_finish(answer.ended())
        await self._emit(send, self._shape.closing(finish))
        if self._include_usage:
            await self._send(send, _event(self._shape.cost() | {"usage": wire_usage(answer.usage)}))
        await self._send(send, DONE)

    async def _open(self, send: Send) -> None:
        if self._started:
            return
        self._started = True
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        opening = self._shape.opening()
        if opening is not None:
            await self._emit(send, opening)

    async def _emit(self, send: Send, piece: dict[str, Any]) -> None:
        await self._send(send, _event(piece | {"usage": None} if self._include_usage else piece))

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError:
            raise ClientGoneError("the client takes nothing") from None


def wire_finish(finish: FinishReason) -> str:
    """Return the finish in OpenAI's words, which have none for work that the backend itself cut short."""
    return "stop" if finish == "cancelled" else finish


def wire_usage(usage: Usage) -> dict[str, Any]:
    """Return *usage* as OpenAI writes it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"

"""The endpoints for whoever watches the bot: alive, ready, metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from botkit.protocols import ChatService


def make_health(service: ChatService) -> APIRouter:
    """Return the routes ``/livez``, ``/readyz`` and ``/metrics``."""
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> Response:
        return PlainTextResponse("alive\n")

    @router.get("/readyz")
    async def readyz() -> Response:
        missing = await service.ready()
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router

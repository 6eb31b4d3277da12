"""Reading what a client sends, and not much more than it may."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from botkit_web.api_errors import ApiError
from botkit_web.attention import ClientGoneError

READ_LIMIT_S = 30.0
"""The longest time that a client may take to send a body."""

PATIENCE = 8
"""How many times too much is read and thrown away, so that the client gets to read why it was refused."""


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the body of *request*.

    Raises ApiError if it is over *max_bytes*, without ever keeping more, or takes too long; ClientGoneError.
    """
    body, n_bytes = bytearray(), 0
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            async for piece in request.stream():
                n_bytes += len(piece)
                if n_bytes <= max_bytes:
                    body += piece
                elif n_bytes > max_bytes * PATIENCE:
                    break
    except TimeoutError:
        raise ApiError("the body did not arrive in time", status=408, code="body_too_slow") from None
    except ClientDisconnect:
        raise ClientGoneError("the client went away while it was sending") from None
    if n_bytes > max_bytes:
        raise ApiError(f"the body has more than {max_bytes} bytes", status=413, code="body_too_large")
    return bytes(body)

"""What goes wrong, in OpenAI's words: a status, and ``{"error": {message, type, param, code}}``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse

from botkit.errors import (
    BackendBusy,
    BackendDied,
    BadRequestError,
    BotkitError,
    ContextTooLong,
    DeadlineExceeded,
    QueueFull,
    UnknownNameError,
    UsageError,
)

RETRY_AFTER_S = 5
INVALID = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a client sees it."""

    status: int
    message: str
    type: str = INVALID
    param: str | None = None
    code: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the error object that OpenAI's clients understand."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> JSONResponse:
        """Return the answer to a request that ends with this problem."""
        headers = {}
        if self.status in (429, 503):
            headers["retry-after"] = str(RETRY_AFTER_S)
        if self.status in (408, 413):
            # What is left of the body is not read.
            headers["connection"] = "close"
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers)


class ApiError(BadRequestError):
    """A request that the API turns down by itself; *problem* says how."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        """Keep what the client is told."""
        super().__init__(message)
        self.problem = Problem(status, str(self), INVALID, param, code)


def describe(error: BotkitError) -> Problem:
    """Return what a client is told of *error*: all of it where the request was off, else only what is public.

    What broke on our side may name paths and processes; that is for the log.
    """
    if isinstance(error, ApiError):
        return error.problem
    if isinstance(error, UnknownNameError) and error.kind == "model":
        return Problem(404, error.line(), INVALID, "model", "model_not_found")
    if isinstance(error, UsageError):
        code = "context_length_exceeded" if isinstance(error, ContextTooLong) else None
        return Problem(400, error.line(), INVALID, None, code)
    if isinstance(error, QueueFull):
        return Problem(429, str(error), "rate_limit_error", None, "rate_limit_exceeded")
    if isinstance(error, DeadlineExceeded):
        return Problem(504, str(error), "timeout_error", None, "deadline_exceeded")
    if isinstance(error, (BackendDied, BackendBusy)):
        return Problem(503, error.public, "server_error", None, "backend_unavailable")
    return Problem(500, error.public, "server_error")

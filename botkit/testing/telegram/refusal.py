"""What the Bot API says when it does not do as asked."""

from __future__ import annotations

from typing import Any

DESCRIPTIONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden: bot was blocked by the user",
    404: "Not Found",
    409: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
"""What goes with a status where nothing more exact is said."""


class Refused(Exception):
    """A call that the API does not do; it becomes the answer, in the platform's own form."""

    def __init__(self, status: int, description: str = "", **parameters: int) -> None:
        """Keep the HTTP *status*, the sentence, and ``retry_after`` or ``migrate_to_chat_id``."""
        self.status = status
        self.description = description or DESCRIPTIONS.get(status, "Error")
        self.parameters = parameters
        super().__init__(f"{status} {self.description}")

    def to_api(self) -> dict[str, Any]:
        """Return the body of the answer."""
        body: dict[str, Any] = {"ok": False, "error_code": self.status, "description": self.description}
        return {**body, "parameters": self.parameters} if self.parameters else body


def bad_request(reason: str, **parameters: int) -> Refused:
    """Return the refusal of a call that is wrong: status 400."""
    return Refused(400, f"Bad Request: {reason}", **parameters)


def too_many_requests(retry_after_s: int) -> Refused:
    """Return the refusal of flood control: status 429."""
    return Refused(429, f"Too Many Requests: retry after {retry_after_s}", retry_after=retry_after_s)

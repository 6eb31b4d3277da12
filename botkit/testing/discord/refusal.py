"""What Discord says no with: a status and its own JSON."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A call that Discord does not carry out.

    The codes: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
    """

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        """Refuse with HTTP *status*, Discord's own *code*, its *message* and *more* of its JSON."""
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.body: dict[str, Any] = {"message": message, "code": code, **more}


def unauthorized() -> Refusal:
    """Return what a wrong token gets."""
    return Refusal(401, 0, "401: Unauthorized")


def unknown(what: str, code: int) -> Refusal:
    """Return what a call about something that is not there gets."""
    return Refusal(404, code, f"Unknown {what}")


def unknown_channel() -> Refusal:
    """Return what a call about no channel gets."""
    return unknown("Channel", 10003)


def unknown_message() -> Refusal:
    """Return what a call about a deleted message gets."""
    return unknown("Message", 10008)


def unknown_interaction() -> Refusal:
    """Return what a response after three seconds gets."""
    return unknown("interaction", 10062)


def missing_access() -> Refusal:
    """Return what a bot gets that may not see a channel."""
    return Refusal(403, 50001, "Missing Access")


def missing_permissions() -> Refusal:
    """Return what a bot gets that may not do this in a channel."""
    return Refusal(403, 50013, "Missing Permissions")


def invalid_form(field: str, code: str, message: str) -> Refusal:
    """Return what a body gets whose *field* is wrong."""
    errors = {field: {"_errors": [{"code": code, "message": message}]}}
    return Refusal(400, 50035, "Invalid Form Body", errors=errors)

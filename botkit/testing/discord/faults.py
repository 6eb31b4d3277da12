"""What goes wrong on purpose: calls that fail before or after their effect, and events that come wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from botkit.testing.discord.sessions import Session
from botkit.testing.discord.world import Json


@dataclass(eq=False)
class CallFault:
    """One way in which calls of *operation* fail; ``"*"`` means every call."""

    operation: str
    status: int
    retry_after_s: float = 1.0
    times: int = 1
    after_effect: bool = False
    cut: bool = False
    is_global: bool = False
    via: bool = True
    code: int = 0
    message: str = ""
    delay_s: float = 0.0

    def body(self) -> Json:
        """Return the JSON that goes with the status."""
        if self.status == 429:
            said = {"message": self.message or "You are being rate limited.", "code": self.code}
            return {**said, "retry_after": self.retry_after_s, "global": self.is_global}
        return {"message": self.message or f"{self.status}: as the test wished", "code": self.code}


class Gate:
    """Holds the calls of *operation*, before or after their effect, until it is opened."""

    def __init__(self, operation: str, *, after_effect: bool) -> None:
        """Begin closed."""
        self.operation, self.after_effect = operation, after_effect
        self.n_held = 0
        self._open = asyncio.Event()

    def open(self) -> None:
        """Let everything through, now and later."""
        self._open.set()

    async def pass_through(self, changed: Callable[[], None]) -> None:
        """Return once it is open; *changed* is called when one more waits."""
        self.n_held += 1
        changed()
        await self._open.wait()


@dataclass
class CallFaults:
    """The faults that wait for a call, each used up after its ``times``."""

    waiting: list[CallFault] = field(default_factory=list)

    def take(self, operation: str) -> CallFault | None:
        """Return the fault for this call of *operation*, if there is one."""
        for fault in self.waiting:
            if fault.operation in (operation, "*"):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None


class EventFaults:
    """How the next events come, and whether somebody may connect at all."""

    def __init__(self) -> None:
        """Begin with everything in order."""
        self.n_doubled = 0
        self.n_swapped = 0
        self.n_refused = 0
        self.refusal_status = 503
        self._held: dict[str, Json] = {}

    def refused_handshake(self) -> int | None:
        """Return the status with which this handshake is refused, or None."""
        if not self.n_refused:
            return None
        self.n_refused -= 1
        return self.refusal_status

    def applied(self, session: Session, name: str, data: Json) -> list[Json]:
        """Return the messages that *session* is told of now: none, one, or two of them.

        Only MESSAGE_CREATE is touched: a swapped one is held back until the next has gone ahead of it.
        """
        if name != "MESSAGE_CREATE":
            return [data]
        if session.id in self._held:
            return [data, self._held.pop(session.id)]
        if self.n_swapped:
            self.n_swapped -= 1
            self._held[session.id] = data
            return []
        if self.n_doubled:
            self.n_doubled -= 1
            return [data, data]
        return [data]


MALFORMED = ("MESSAGE_CREATE", {"id": "no number", "author": None})
UNKNOWN = ("SOMETHING_NEW", {"what": "nobody knows"})

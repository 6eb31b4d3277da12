"""What goes wrong by order, and how much the platform puts up with."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from dataclasses import dataclass, field

from botkit.protocols import Clock
from botkit.testing.telegram.refusal import Refused, bad_request, too_many_requests

COUNTED = (
    "sendMessage",
    "sendDocument",
    "sendPhoto",
    "editMessageText",
    "editMessageCaption",
    "editMessageReplyMarkup",
)
"""What flood control counts, by chat."""


@dataclass(eq=False)
class Fault:
    """A failure to come.  ``skip`` calls go well first, then ``times`` calls fail.

    With ``cut`` the connection breaks in place of an answer; with ``body`` the answer is that text, as from a
    proxy; with ``after_effect`` what was asked is done before it fails.  ``delay_s`` comes before either.
    """

    method: str
    status: int
    retry_after: int | None = None
    times: int = 1
    skip: int = 0
    after_effect: bool = False
    cut: bool = False
    description: str = ""
    body: str | None = None
    delay_s: float = 0.0
    chat_id: int | None = None

    def refusal(self) -> Refused:
        """Return the answer."""
        if self.status == 429:
            return too_many_requests(self.retry_after or 1)
        if self.status == 400 and self.description:
            return bad_request(self.description.removeprefix("Bad Request: "))
        return Refused(self.status, self.description)

    def meets(self, method: str, chat_id: str) -> bool:
        """Tell whether a call is one that it is for."""
        return self.method in ("*", method) and self.chat_id in (None, _as_number(chat_id))


class Faults:
    """The failures to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        """Begin with none."""
        self.coming: list[Fault] = []

    def take(self, method: str, chat_id: str) -> Fault | None:
        """Return the failure of this call, which then counts as had, or None."""
        for fault in self.coming:
            if not fault.meets(method, chat_id):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.coming.remove(fault)
            return fault
        return None


class Gate:
    """Holds the calls of a method, before or after their effect, until it is opened."""

    def __init__(self, method: str, *, after_effect: bool) -> None:
        """Begin closed."""
        self.method, self.after_effect = method, after_effect
        self.n_held = 0
        self._open = asyncio.Event()

    def open(self) -> None:
        """Let everything through, now and later."""
        self._open.set()

    async def pass_through(self) -> None:
        """Return once it is open."""
        self.n_held += 1
        await self._open.wait()


@dataclass(frozen=True)
class Flood:
    """How much flood control lets through.  The real figures are not published: these are assumptions."""

    private_burst: int = 20
    private_per_s: float = 1.0
    group_burst: int = 20
    group_per_s: float = 20 / 60
    bot_burst: int = 30
    bot_per_s: float = 30.0


@dataclass(eq=False)
class _Bucket:
    left: float
    at_s: float


@dataclass(eq=False)
class FloodControl:
    """Counts each bot's calls, in all and by chat; refuses with ``retry_after`` what is too much."""

    clock: Clock
    limits: Flood | None
    _buckets: dict[object, _Bucket] = field(
        default_factory=lambda: defaultdict(lambda: _Bucket(math.inf, 0.0))
    )

    def count(self, bot_id: int, method: str, chat_id: str) -> None:
        """Count a call; raises Refused where it is one too many."""
        if self.limits is None or method not in COUNTED:
            return
        limits = self.limits
        is_group = chat_id.startswith(("-", "@"))
        burst, per_s = (
            (limits.group_burst, limits.group_per_s)
            if is_group
            else (limits.private_burst, limits.private_per_s)
        )
        chat = self._filled((bot_id, chat_id), burst, per_s)
        whole = self._filled(bot_id, limits.bot_burst, limits.bot_per_s)
        wait_s = max((1 - chat.left) / per_s, (1 - whole.left) / limits.bot_per_s)
        if wait_s > 0:
            raise too_many_requests(math.ceil(wait_s))
        chat.left -= 1
        whole.left -= 1

    def _filled(self, key: object, burst: int, per_s: float) -> _Bucket:
        bucket, now_s = self._buckets[key], self.clock.monotonic()
        bucket.left = min(float(burst), bucket.left + (now_s - bucket.at_s) * per_s)
        bucket.at_s = now_s
        return bucket


def _as_number(chat_id: str) -> int | None:
    try:
        return int(chat_id)
    except ValueError:
        return None

"""Rate limits as Discord's headers tell them: a bucket a channel and kind of call, and one for everything."""

from __future__ import annotations

from dataclasses import dataclass

from botkit.protocols import Clock

VIA = {"Via": "1.1 google"}
"""discord.py takes a 429 without it for a ban by Cloudflare."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How many calls in how many seconds: what has been observed, not what Discord documents.

    Sends and edits are counted by channel.  0 calls means no limit.
    """

    sends: int = 5
    edits: int = 5
    window_s: float = 5.0
    all_calls: int = 50
    all_window_s: float = 1.0


NO_LIMITS = RateLimits(sends=0, edits=0, all_calls=0)


@dataclass(slots=True)
class _Window:
    ends_s: float
    n_left: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call may pass, and the headers that say so."""

    headers: dict[str, str]
    retry_after_s: float = 0.0
    is_global: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether the call comes too early."""
        return self.retry_after_s > 0


class Limiter:
    """Counts calls."""

    def __init__(self, limits: RateLimits, clock: Clock) -> None:
        """Count by *limits* in the time of *clock*; ``limits`` may be exchanged at any time."""
        self.limits, self._clock = limits, clock
        self._windows: dict[tuple[str, str], _Window] = {}

    def judge(self, operation: str, token: str, channel: str) -> Verdict:
        """Count one call of *operation*; an earlier one is what it may have to wait for."""
        limits = self.limits
        if limits.all_calls and token:  # interactions carry no token and are not counted here
            window = self._window(("*", token), limits.all_calls, limits.all_window_s)
            if window.n_left < 0:
                return self._refused(window, is_global=True, headers={})
        allowed = {"send": limits.sends, "edit": limits.edits}.get(operation, 0)
        if not allowed:
            return Verdict(VIA)
        window = self._window((operation, f"{token}/{channel}"), allowed, limits.window_s)
        after_s = max(window.ends_s - self._clock.monotonic(), 0.001)
        headers = {
            "X-RateLimit-Bucket": f"bucket-of-{operation}",
            "X-RateLimit-Limit": str(allowed),
            "X-RateLimit-Remaining": str(max(window.n_left, 0)),
            "X-RateLimit-Reset": f"{self._clock.now().timestamp() + after_s:.3f}",
            "X-RateLimit-Reset-After": f"{after_s:.3f}",
        }
        if window.n_left < 0:
            return self._refused(window, is_global=False, headers=headers)
        return Verdict(VIA | headers)

    def _window(self, key: tuple[str, str], allowed: int, length_s: float) -> _Window:
        now_s = self._clock.monotonic()
        window = self._windows.get(key)
        if window is None or window.ends_s <= now_s:
            window = self._windows[key] = _Window(now_s + length_s, allowed)
        window.n_left -= 1
        return window

    def _refused(self, window: _Window, *, is_global: bool, headers: dict[str, str]) -> Verdict:
        retry_after_s = round(max(window.ends_s - self._clock.monotonic(), 0.001), 3)
        scope = "global" if is_global else "user"
        more = {"Retry-After": str(int(retry_after_s) + 1), "X-RateLimit-Scope": scope}
        if is_global:
            more["X-RateLimit-Global"] = "true"
        return Verdict(VIA | headers | more, retry_after_s, is_global)

"""What botkit counts and times, in Prometheus' text format.

Each ``Metrics`` has a registry of its own.  No label ever names a person, a chat or a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from botkit.protocols import Clock
from botkit.types import BackendStatus

OUTCOMES = ("answered", "refused", "cancelled", "failed", "command")
TOKEN_KINDS = ("prompt", "completion", "cached")
STATES = ("stopped", "starting", "ready", "restarting", "failed")
LAG_INTERVAL_S = 0.1

_LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_WAIT_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

Statuses = Callable[[], Iterable[BackendStatus]]


class Metrics:
    """Listens to the chat core as its ``Observer``, and shows what it heard; there is nothing to close."""

    def __init__(self) -> None:
        """Begin at zero, with every known outcome and kind of token already there to be read."""
        registry = self._registry = CollectorRegistry()
        self._outcomes = Counter(
            "botkit_outcome", "Exchanges by how they ended.", ["outcome"], registry=registry
        )
        self._tokens = Counter("botkit_tokens", "Tokens that models worked on.", ["kind"], registry=registry)
        self._queue_depth = Gauge("botkit_queue_depth", "Requests that wait in line.", registry=registry)
        self._queue_wait = Histogram(
            "botkit_queue_wait_seconds",
            "Time that requests waited in line.",
            buckets=_WAIT_BUCKETS_S,
            registry=registry,
        )
        self._first_chunk = Histogram(
            "botkit_time_to_first_chunk_seconds",
            "Time from submitting a request to its first text.",
            buckets=_WAIT_BUCKETS_S,
            registry=registry,
        )
        self._lag = Histogram(
            "botkit_event_loop_lag_seconds",
            "How late the event loop woke a sleeper.",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        ProcessCollector(registry=registry)
        for outcome in OUTCOMES:
            self._outcomes.labels(outcome)
        for kind in TOKEN_KINDS:
            self._tokens.labels(kind)

    def outcome(self, name: str) -> None:
        """Count an exchange: answered, refused, cancelled, failed or command."""
        self._outcomes.labels(name).inc()

    def first_chunk(self, seconds: float) -> None:
        """Take the time from submitting a request to its first text."""
        self._first_chunk.observe(seconds)

    def queue_depth(self, n: int) -> None:
        """Take the number of requests that wait."""
        self._queue_depth.set(n)

    def queue_wait(self, seconds: float) -> None:
        """Take the time that a request waited in line."""
        self._queue_wait.observe(seconds)

    def tokens(self, kind: str, n: int) -> None:
        """Count tokens: prompt, completion or cached."""
        self._tokens.labels(kind).inc(n)

    def show_backends(self, statuses: Statuses) -> None:
        """Ask *statuses*, at each ``render``, how the backends are doing; call this once."""
        self._registry.register(_Backends(statuses))

    async def watch_loop(self, clock: Clock) -> None:
        """Measure every 100 ms how late the event loop is, until cancelled."""
        while True:
            asleep_s = clock.monotonic()
            await clock.sleep(LAG_INTERVAL_S)
            self._lag.observe(max(0.0, clock.monotonic() - asleep_s - LAG_INTERVAL_S))

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Backends(Collector):
    """Reads the backends' states when they are asked for."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(
            "botkit_backend_state", "1 for the state that the backend is in.", labels=["model", "state"]
        )
        running = GaugeMetricFamily("botkit_backend_running", "Requests at work.", labels=["model"])
        resident = GaugeMetricFamily(
            "botkit_backend_resident_bytes", "Memory of the backend's process.", labels=["model"]
        )
        restarts = CounterMetricFamily(
            "botkit_backend_restarts", "Times the backend's process was started again.", labels=["model"]
        )
        # One entry a model: two of the same labels would make the whole scrape unreadable.
        for model, status in {status.model: status for status in self._statuses()}.items():
            for name in STATES:
                state.add_metric([model, name], float(name == status.state))
            running.add_metric([model], status.running)
            resident.add_metric([model], status.resident_bytes)
            restarts.add_metric([model], status.restarts)
        return state, running, resident, restarts

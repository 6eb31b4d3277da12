"""What a scrape holds."""

from __future__ import annotations

import asyncio
import inspect
from typing import get_args, get_type_hints

import pytest
from prometheus_client.parser import text_string_to_metric_families

from botkit.chat.observer import Observer
from botkit.metrics import OUTCOMES, STATES, TOKEN_KINDS, Metrics
from botkit.testing.clock import ManualClock
from botkit.types import BackendStatus


def scrape(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_it_hears_all_that_the_chat_core_tells() -> None:
    told = {name: member for name, member in vars(Observer).items() if inspect.isfunction(member)}
    told = {name: member for name, member in told.items() if not name.startswith("_")}

    assert told
    for name, member in told.items():
        assert inspect.signature(getattr(Metrics, name)) == inspect.signature(member)


def test_everything_known_is_there_before_it_happens() -> None:
    samples = scrape(Metrics())

    assert {samples["botkit_outcome_total", name] for name in OUTCOMES} == {0.0}
    assert {samples["botkit_tokens_total", kind] for kind in TOKEN_KINDS} == {0.0}
    assert samples[("botkit_queue_depth",)] == 0.0
    assert samples[("botkit_event_loop_lag_seconds_count",)] == 0.0


def test_what_is_told_is_counted() -> None:
    metrics = Metrics()

    metrics.outcome("answered")
    metrics.outcome("answered")
    metrics.tokens("prompt", 40)
    metrics.queue_depth(7)
    metrics.queue_wait(0.2)
    metrics.first_chunk(1.5)

    samples = scrape(metrics)
    assert samples["botkit_outcome_total", "answered"] == 2
    assert samples["botkit_tokens_total", "prompt"] == 40
    assert samples[("botkit_queue_depth",)] == 7
    assert samples[("botkit_queue_wait_seconds_sum",)] == pytest.approx(0.2)
    assert samples[("botkit_time_to_first_chunk_seconds_sum",)] == 1.5


def test_two_of_them_know_nothing_of_each_other() -> None:
    one, other = Metrics(), Metrics()

    one.outcome("failed")

    assert scrape(other)["botkit_outcome_total", "failed"] == 0


def test_the_process_is_measured() -> None:
    assert scrape(Metrics())[("process_resident_memory_bytes",)] > 1_000_000


def test_backends_are_asked_at_each_scrape() -> None:
    now = [BackendStatus("a", "starting")]
    metrics = Metrics()
    metrics.show_backends(lambda: now)
    assert scrape(metrics)["botkit_backend_state", "a", "starting"] == 1

    now[:] = [
        BackendStatus("a", "ready", running=3, restarts=2, resident_bytes=5_000),
        BackendStatus("b", "failed"),
    ]

    samples = scrape(metrics)
    assert {state: samples["botkit_backend_state", "a", state] for state in STATES if state != "ready"} == {
        "stopped": 0, "starting": 0, "restarting": 0, "failed": 0,
    }  # fmt: skip
    assert samples["botkit_backend_state", "a", "ready"] == 1
    assert samples["botkit_backend_state", "b", "failed"] == 1
    assert samples["botkit_backend_running", "a"] == 3
    assert samples["botkit_backend_restarts_total", "a"] == 2
    assert samples["botkit_backend_resident_bytes", "a"] == 5_000


def test_a_model_that_is_reported_twice_has_one_entry() -> None:
    metrics = Metrics()
    metrics.show_backends(lambda: [BackendStatus("a", "failed"), BackendStatus("a", "ready")])

    assert metrics.render().count(b'botkit_backend_running{model="a"}') == 1


def test_the_states_are_those_that_a_backend_can_be_in() -> None:
    assert get_args(get_type_hints(BackendStatus)["state"]) == STATES


class LateClock(ManualClock):
    """Wakes its sleepers later than they asked."""

    def __init__(self, late_s: float) -> None:
        super().__init__()
        self.late_s = late_s

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.late_s)


@pytest.mark.parametrize(("late_s", "at_most_s"), [(0.0, "0.001"), (0.015, "0.02"), (0.4, "0.5")])
async def test_the_lag_is_how_late_the_loop_wakes_a_sleeper(late_s: float, at_most_s: str) -> None:
    clock, metrics = LateClock(late_s), Metrics()
    watching = asyncio.create_task(metrics.watch_loop(clock))
    await clock.advance(10 * (0.1 + late_s) + 0.01)
    watching.cancel()

    samples = scrape(metrics)
    assert samples[("botkit_event_loop_lag_seconds_count",)] == 10
    assert samples["botkit_event_loop_lag_seconds_bucket", at_most_s] == 10
    assert samples[("botkit_event_loop_lag_seconds_sum",)] == pytest.approx(10 * late_s)


async def test_a_loop_that_is_held_up_is_noticed() -> None:
    import time

    from botkit.clock import SystemClock

    metrics = Metrics()
    watching = asyncio.create_task(metrics.watch_loop(SystemClock()))
    await asyncio.sleep(0)
    time.sleep(0.3)
    while scrape(metrics)[("botkit_event_loop_lag_seconds_count",)] == 0:
        await asyncio.sleep(0)
    watching.cancel()

    assert scrape(metrics)[("botkit_event_loop_lag_seconds_sum",)] >= 0.15

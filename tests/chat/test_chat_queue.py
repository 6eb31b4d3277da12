"""The line before a backend: bounds, fairness, deadlines, places; and a request leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from chat_parts import CancelledAt, other_tasks, request

from botkit.chat.queue import GenerationQueue
from botkit.config import QueueSettings
from botkit.errors import BackendDied, DeadlineExceeded, PlatformError, QueueFull
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import ScriptedBackend
from botkit.types import Chunk, GenerationRequest, Place, Sampling


class Measured:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.depths: list[int] = []
        self.waits: list[float] = []
        self.counted: dict[str, int] = {}

    def queue_depth(self, n: int) -> None:
        self.depths.append(n)

    def queue_wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def tokens(self, kind: str, n: int) -> None:
        self.counted[kind] = self.counted.get(kind, 0) + n

    def outcome(self, name: str) -> None: ...
    def first_chunk(self, seconds: float) -> None: ...


def queue_for(backend: ScriptedBackend, clock: ManualClock, **settings: int) -> GenerationQueue:
    return GenerationQueue(backend, clock, QueueSettings(**settings))


async def generate(queue: GenerationQueue, asked: GenerationRequest, **more: Any) -> str:
    async with queue.submit(asked, **more) as chunks:
        return "".join([chunk.text async for chunk in chunks])


def assert_empty(queue: GenerationQueue, backend: ScriptedBackend) -> None:
    assert (queue.n_running, queue.n_waiting, backend.running) == (0, 0, 0)


async def test_a_request_runs_at_once_when_a_slot_is_free(
    backend: ScriptedBackend, clock: ManualClock
) -> None:
    queue = queue_for(backend, clock)

    assert await generate(queue, request(text="one two three")) == "one two three"
    assert_empty(queue, backend)


async def test_no_more_run_than_the_backend_has_slots(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=2, chunk_s=0.1)
    queue = queue_for(backend, clock)
    work = [generate(queue, request(str(n), person=str(n))) for n in range(10)]

    texts = await clock.run(asyncio.gather(*work))

    assert texts == ["one two three"] * 10
    assert backend.peak_running == 2
    assert_empty(queue, backend)


async def test_each_person_may_have_only_so_many_requests_waiting(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1, chunk_s=1)
    queue = queue_for(backend, clock, max_waiting_per_person=2)
    work = [asyncio.create_task(generate(queue, request(str(n)))) for n in range(3)]
    await clock.settle()

    with pytest.raises(QueueFull, match="anna has 2 requests waiting"):
        await generate(queue, request("4"))
    work.append(asyncio.create_task(generate(queue, request("5", person="ben"))))

    assert await clock.run(asyncio.gather(*work)) == ["one two three"] * 4


async def test_only_so_many_may_wait_in_all(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock, max_waiting=3)
    work = [asyncio.create_task(generate(queue, request(str(n), person=str(n)))) for n in range(4)]
    await clock.settle()

    with pytest.raises(QueueFull, match="3 requests wait"):
        await generate(queue, request("5", person="5"))

    await clock.run(asyncio.gather(*work))
    assert_empty(queue, backend)


async def test_who_waits_longer_than_their_deadline_is_never_given_to_the_backend(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1)
    backend.gate.clear()
    queue = queue_for(backend, clock)
    running = asyncio.create_task(generate(queue, request("1", person="ben")))
    await clock.settle()

    with pytest.raises(DeadlineExceeded, match="waited 7 s"):
        await clock.run(generate(queue, request("2", deadline_s=7.0)))

    assert clock.monotonic() == 7.0
    assert [asked.id for asked in backend.requests] == ["1"]
    assert queue.n_waiting == 0
    backend.gate.set()
    await clock.run(running)


async def test_a_reply_that_runs_too_long_is_ended_and_its_slot_is_free(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, lambda asked: ["word "] * 100, chunk_s=1)
    queue = queue_for(backend, clock)
    seen: list[str] = []

    async def read() -> None:
        asked = request(reply_limit_s=3.5, sampling=Sampling(max_tokens=100))
        async with queue.submit(asked) as chunks:
            async for chunk in chunks:
                seen.append(chunk.text)

    with pytest.raises(DeadlineExceeded, match=r"ran for more than 3\.5 s"):
        await clock.run(read())

    assert len(seen) == 3
    assert backend.n_cancelled == 1
    assert_empty(queue, backend)


async def test_a_backend_that_hangs_before_its_first_chunk_is_left_too(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock)
    backend.gate.clear()
    queue = queue_for(backend, clock)

    with pytest.raises(DeadlineExceeded):
        await clock.run(generate(queue, request(reply_limit_s=5)))

    assert_empty(queue, backend)


async def test_time_runs_while_the_reader_is_slow(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, chunk_s=0.1)
    queue = queue_for(backend, clock)

    async def read() -> None:
        async with queue.submit(request(reply_limit_s=5)) as chunks:
            await anext(chunks)
            await clock.sleep(6)
            await anext(chunks)

    with pytest.raises(DeadlineExceeded):
        await clock.run(read())
    assert_empty(queue, backend)


async def test_places_are_told_at_first_and_whenever_they_change(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1, chunk_s=1)
    queue = queue_for(backend, clock)
    places: list[int] = []

    async def keep(place: Place) -> None:
        places.append(place.before)

    others = [asyncio.create_task(generate(queue, request(str(n), person=str(n)))) for n in range(4)]
    await clock.settle()
    await clock.run(generate(queue, request("me"), on_place=keep))
    await clock.run(asyncio.gather(*others))

    assert places == [3, 2, 1, 0]


async def test_no_place_is_told_when_there_is_no_line(backend: ScriptedBackend, clock: ManualClock) -> None:
    async def keep(place: Place) -> None:
        raise AssertionError(place)

    assert await generate(queue_for(backend, clock), request(), on_place=keep) == "one two three"


async def test_a_slow_way_of_telling_places_skips_those_that_are_over(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1, chunk_s=1)
    queue = queue_for(backend, clock)
    places: list[int] = []

    async def keep(place: Place) -> None:
        places.append(place.before)
        await clock.sleep(10)

    others = [asyncio.create_task(generate(queue, request(str(n), person=str(n)))) for n in range(4)]
    await clock.settle()
    await clock.run(generate(queue, request("me"), on_place=keep))
    await clock.run(asyncio.gather(*others))

    assert places == [3, 1]
    assert other_tasks() == set()


async def test_telling_the_place_may_not_delay_the_start(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1, chunk_s=1)
    queue = queue_for(backend, clock)

    async def hang(place: Place) -> None:
        await asyncio.Event().wait()

    first = asyncio.create_task(generate(queue, request("1", person="ben")))
    await clock.settle()

    assert await clock.run(generate(queue, request("2"), on_place=hang)) == "one two three"
    await first
    assert other_tasks() == set()


async def test_a_failure_to_tell_the_place_ends_the_wait_and_gives_the_place_up(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1, chunk_s=1)
    queue = queue_for(backend, clock)

    async def fail(place: Place) -> None:
        raise PlatformError("the page is gone")

    first = asyncio.create_task(generate(queue, request("1", person="ben")))
    await clock.settle()
    with pytest.raises(PlatformError, match="the page is gone"):
        await clock.run(generate(queue, request("2"), on_place=fail))

    assert queue.n_waiting == 0
    await clock.run(first)
    assert_empty(queue, backend)


async def test_one_flooder_does_not_delay_the_others(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, lambda asked: ["word "] * 10, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock, max_waiting_per_person=50, quantum_tokens=20)
    flood = [
        asyncio.create_task(generate(queue, request(f"f{n}", "flooder", deadline_s=1000))) for n in range(50)
    ]
    await clock.settle()
    waits: list[float] = []

    async def polite(name: str) -> None:
        begun_s = clock.monotonic()
        async with queue.submit(request(name, name)) as chunks:
            waits.append(clock.monotonic() - begun_s)
            async for _ in chunks:
                pass

    await clock.run(asyncio.gather(*(polite(name) for name in "abcde")))
    await clock.run(asyncio.gather(*flood))

    assert max(waits) <= 7.0  # behind one of the flooder's at most, and behind each other
    assert_empty(queue, backend)


async def test_a_wait_beyond_the_deadline_is_refused_at_the_door(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, lambda asked: ["word "] * 100, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock)
    asked = {"sampling": Sampling(max_tokens=100), "deadline_s": 35.0}
    await clock.run(generate(queue, request("0", **asked)))  # the pace is known from now on
    work = [asyncio.create_task(generate(queue, request(str(n), str(n), **asked))) for n in range(4)]
    await clock.settle()

    with pytest.raises(QueueFull, match="a wait of") as caught:
        await generate(queue, request("5", "5", **asked))

    assert "I am busy: it would take about 4" in caught.value.public
    assert queue.n_waiting == 3
    await clock.run(asyncio.gather(*work))
    assert_empty(queue, backend)


async def test_the_estimate_learns_in_the_middle_of_a_long_reply(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, lambda asked: ["word "] * 1000, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock)
    asked = {"sampling": Sampling(max_tokens=1000), "deadline_s": 10_000.0}
    running = asyncio.create_task(generate(queue, request("1", **asked)))
    await clock.advance(50)
    places: list[Place] = []

    async def keep(place: Place) -> None:
        places.append(place)

    waiting = asyncio.create_task(generate(queue, request("2", "ben", **asked), on_place=keep))
    await clock.settle()

    assert places[0].wait_s == pytest.approx(50, rel=0.1)  # 500 tokens are left, at 10 tokens a second
    for task in (running, waiting):
        task.cancel()
    await asyncio.wait({running, waiting})
    assert_empty(queue, backend)


async def test_without_experience_nobody_is_refused_for_a_guess(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock)
    work = [generate(queue, request(str(n), str(n), deadline_s=5.0)) for n in range(5)]

    await clock.run(asyncio.gather(*work))

    assert_empty(queue, backend)


async def test_who_was_charged_too_much_gets_it_back(clock: ManualClock) -> None:
    """Both reserve much, but Anna's replies end soon: by tokens spent she is served far more often."""

    def say(asked: GenerationRequest) -> list[str]:
        return ["word "] * (1 if asked.person == "anna" else 100)

    backend = ScriptedBackend(clock, say, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock, max_waiting=100, max_waiting_per_person=40, quantum_tokens=10)
    asked = {"sampling": Sampling(max_tokens=100), "deadline_s": 10_000.0}
    work = [
        asyncio.create_task(generate(queue, request(f"{person}{n}", person, **asked)))
        for n in range(30)
        for person in ("anna", "ben")
    ]
    await clock.run(asyncio.wait(work))

    order = [asked.person for asked in backend.requests]
    assert order.index("ben", order.index("ben") + 1) > 10  # it took that long until his second turn
    assert_empty(queue, backend)


async def test_a_huge_reservation_does_not_spoil_the_estimates(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, lambda asked: ["word "] * 100, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock)
    await clock.run(generate(queue, request("0", sampling=Sampling(max_tokens=10**9))))
    asked = {"sampling": Sampling(max_tokens=100), "deadline_s": 1000.0}
    for n in range(60):
        await clock.run(generate(queue, request(f"{n}", **asked)))
    work = [asyncio.create_task(generate(queue, request(f"w{n}", str(n), **asked))) for n in range(3)]
    await clock.settle()
    places: list[Place] = []

    async def keep(place: Place) -> None:
        places.append(place)

    await clock.run(asyncio.gather(*work, generate(queue, request("last", "last", **asked), on_place=keep)))

    assert places[0].wait_s > 10  # about 30; without a bound it would be next to nothing


async def test_a_backend_that_fails_leaves_nothing_behind(
    backend: ScriptedBackend, clock: ManualClock
) -> None:
    queue = queue_for(backend, clock)
    backend.fail_after(2, BackendDied("gone"))
    seen: list[str] = []

    async def read() -> None:
        async with queue.submit(request()) as chunks:
            async for chunk in chunks:
                seen.append(chunk.text)

    with pytest.raises(BackendDied):
        await read()

    assert seen == ["one", " two"]
    assert_empty(queue, backend)


async def test_leaving_early_cancels_the_work_and_frees_the_slot(
    backend: ScriptedBackend, clock: ManualClock
) -> None:
    queue = queue_for(backend, clock)

    async with queue.submit(request()) as chunks:
        async for _ in chunks:
            break

    assert backend.n_cancelled == 1
    assert_empty(queue, backend)
    assert other_tasks() <= {task for task in other_tasks() if task.cancelling()}


async def test_what_was_measured_is_told_to_the_observer(clock: ManualClock) -> None:
    backend, measured = ScriptedBackend(clock, slots=1, chunk_s=1), Measured()
    queue = GenerationQueue(backend, clock, QueueSettings(), measured)

    await clock.run(asyncio.gather(*(generate(queue, request(str(n), str(n))) for n in range(2))))

    assert measured.waits == [0.0, 4.0]
    assert max(measured.depths) == 1
    assert measured.counted == {"prompt": 10, "completion": 6, "cached": 0}


class ChunksWithoutCounts(ScriptedBackend):
    """A backend that tells only at the end how many tokens there were."""

    async def chunks_of(self, request: GenerationRequest) -> list[Chunk]:
        chunks = await super().chunks_of(request)
        return [Chunk(one.request_id, one.text, 0, one.finish, one.usage) for one in chunks]


async def test_a_backend_need_not_count_tokens_chunk_by_chunk(clock: ManualClock) -> None:
    backend = ChunksWithoutCounts(clock, lambda asked: ["word "] * 100, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock)
    await clock.run(generate(queue, request("1", sampling=Sampling(max_tokens=100))))

    assert queue._pace.tokens_per_slot_s() == pytest.approx(10, rel=0.1)


async def scene(queue: GenerationQueue, clock: ManualClock, n: int) -> int:
    """Let one request wait behind another, cancel it at its *n*th await; return how many awaits it had."""

    async def told(place: Place) -> None:
        await clock.sleep(0.05)

    ahead = asyncio.create_task(generate(queue, request("1", "ben")))
    await clock.settle()
    probe = CancelledAt(generate(queue, request("2"), on_place=told), n)

    async def run() -> None:
        await probe

    behind = asyncio.create_task(run())
    await clock.run(asyncio.wait({ahead, behind}))
    assert ahead.result() == "one two three"
    assert behind.cancelled() == (n <= probe.n_awaits)
    return probe.n_awaits


async def test_cancelling_at_any_await_frees_place_and_slot(clock: ManualClock) -> None:
    backend = ScriptedBackend(clock, slots=1, chunk_s=0.1)
    queue = queue_for(backend, clock)
    n_awaits = await scene(queue, clock, 10**6)

    assert n_awaits >= 5  # its turn, and each chunk
    for n in range(1, n_awaits + 1):
        await scene(queue, clock, n)
        await clock.settle()
        assert_empty(queue, backend)
        assert other_tasks() == set()


async def test_cancelling_at_any_moment_frees_place_and_slot(clock: ManualClock) -> None:
    """Also between awaits: when its turn has come, but it has not noticed yet."""
    backend = ScriptedBackend(clock, slots=1)
    queue = queue_for(backend, clock)
    for n_ticks in range(40):
        work = [asyncio.create_task(generate(queue, request(str(n), str(n)))) for n in range(3)]
        for _ in range(n_ticks):
            await asyncio.sleep(0)
        work[1].cancel()
        await clock.run(asyncio.wait(work))
        await clock.settle()

        assert [task.result() for task in (work[0], work[2])] == ["one two three"] * 2
        assert_empty(queue, backend)
        assert other_tasks() == set()

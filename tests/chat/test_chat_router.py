"""From a model's name to its backend: started when first needed, once."""

from __future__ import annotations

import asyncio

import pytest
from chat_parts import other_tasks, request

from botkit.chat.router import ModelRouter
from botkit.config import QueueSettings
from botkit.errors import BackendError, ModelError, PluginError, QueueFull, UnknownNameError
from botkit.protocols import Backend
from botkit.testing.clock import ManualClock
from botkit.testing.scripted import ScriptedBackend
from botkit.types import PromptTurn


class Rack:
    """Opens scripted backends and keeps them, by name in the order of opening."""

    def __init__(self, clock: ManualClock, start_s: float = 0.0) -> None:
        self.clock, self.start_s = clock, start_s
        self.opened: list[ScriptedBackend] = []
        self.start_errors: list[Exception] = []

    def open(self, name: str) -> Backend:
        self.opened.append(Slow(self.clock, self.start_s, name))
        if self.start_errors:
            self.opened[-1].start_error = self.start_errors.pop(0)
        return self.opened[-1]

    def router(self, **settings: int) -> ModelRouter:
        names = ["small", "large", "medium"]
        return ModelRouter(self.open, "medium", lambda: names, self.clock, QueueSettings(**settings))


class Slow(ScriptedBackend):
    """Takes *start_s* to start."""

    def __init__(self, clock: ManualClock, start_s: float, name: str) -> None:
        super().__init__(clock, model=name)
        self.start_s = start_s

    async def start(self) -> None:
        await self._clock.sleep(self.start_s)
        await super().start()


@pytest.fixture
async def rack(clock: ManualClock) -> Rack:
    return Rack(clock, start_s=5)


async def generate(router: ModelRouter, model: str = "") -> str:
    async with router.submit(request(model=model)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def test_nothing_starts_before_it_is_asked_for(rack: Rack) -> None:
    router = rack.router()

    assert rack.opened == []
    assert router.statuses() == []
    assert router.names() == ["medium", "large", "small"]


async def test_a_backend_starts_once_for_all_who_ask(rack: Rack, clock: ManualClock) -> None:
    router = rack.router()
    texts = await clock.run(asyncio.gather(*(generate(router) for _ in range(4))))

    assert texts == ["one two three"] * 4
    assert [(one.model, one.n_starts) for one in rack.opened] == [("medium", 1)]
    assert clock.monotonic() == 5.0
    assert await generate(router) == "one two three"


async def test_models_start_beside_each_other(rack: Rack, clock: ManualClock) -> None:
    router = rack.router()
    await clock.run(asyncio.gather(*(generate(router, name) for name in ("small", "large"))))

    assert {one.model for one in rack.opened} == {"small", "large"}
    assert clock.monotonic() == 5.0
    assert [status.model for status in router.statuses()] == ["small", "large"]


async def test_an_unknown_name_names_the_nearest(rack: Rack) -> None:
    router = rack.router()

    with pytest.raises(UnknownNameError) as caught:
        await generate(router, "smal")
    assert "did you mean 'small'?" in caught.value.line()
    with pytest.raises(UnknownNameError):
        router.check_name("none")
    router.check_name("large")
    assert rack.opened == []


async def test_a_failing_start_fails_all_who_wait_and_is_tried_again_by_the_next(
    rack: Rack, clock: ManualClock
) -> None:
    router = rack.router()
    rack.start_errors = [ModelError("weights are truncated")]
    results = await clock.run(asyncio.gather(*(generate(router) for _ in range(3)), return_exceptions=True))

    assert [type(result) for result in results] == [ModelError] * 3
    assert rack.opened[0].closed
    assert [(one.state, one.detail) for one in router.statuses()] == [("failed", "weights are truncated")]

    assert await clock.run(generate(router)) == "one two three"
    assert [one.state for one in router.statuses()] == ["ready"]
    assert len(rack.opened) == 2


async def test_a_plugin_that_raises_at_its_start_is_named(rack: Rack, clock: ManualClock) -> None:
    router = rack.router()
    rack.start_errors = [KeyError("oops")]  # type: ignore[list-item]

    with pytest.raises(PluginError, match="model 'medium' failed: KeyError"):
        await clock.run(generate(router))
    assert rack.opened[0].closed
    assert [one.state for one in router.statuses()] == ["failed"]


async def test_cancelling_one_who_waits_does_not_cancel_the_start(rack: Rack, clock: ManualClock) -> None:
    router = rack.router()
    first, second = (asyncio.create_task(generate(router)) for _ in range(2))
    await clock.settle()
    first.cancel()

    assert await clock.run(second) == "one two three"
    assert first.cancelled()
    assert rack.opened[0].n_starts == 1


async def test_a_start_that_nobody_waits_for_any_more_may_fail_quietly(
    rack: Rack, clock: ManualClock
) -> None:
    router = rack.router()
    rack.start_errors = [ModelError("no")]
    only = asyncio.create_task(generate(router))
    await clock.settle()
    only.cancel()
    await clock.advance(10)

    assert rack.opened[0].closed
    assert other_tasks() <= {only}


async def test_only_so_many_wait_for_a_start(rack: Rack, clock: ManualClock) -> None:
    router = rack.router(max_waiting=2)
    waiting = [asyncio.create_task(generate(router)) for _ in range(2)]
    await clock.settle()

    with pytest.raises(QueueFull, match="wait for 'medium' to start"):
        await generate(router)
    await clock.run(asyncio.gather(*waiting))


async def test_closing_ends_everything_and_can_be_done_twice(rack: Rack, clock: ManualClock) -> None:
    router = rack.router()
    await clock.run(generate(router, "small"))
    await router.aclose()
    await router.aclose()

    assert [one.closed for one in rack.opened] == [True]
    assert router.statuses() == []
    with pytest.raises(BackendError, match="being closed"):
        await generate(router)


async def test_closing_while_a_backend_starts_ends_the_start_and_tells_who_waits(
    rack: Rack, clock: ManualClock
) -> None:
    router = rack.router()
    waiting = asyncio.create_task(generate(router))
    await clock.settle()
    await router.aclose()
    await asyncio.wait({waiting})

    assert isinstance(waiting.exception(), BackendError)
    assert rack.opened[0].closed
    assert rack.opened[0].n_starts == 0
    assert other_tasks() == set()


async def test_one_that_cannot_be_closed_does_not_keep_the_others_open(
    rack: Rack, clock: ManualClock
) -> None:
    router = rack.router()
    for name in ("small", "large"):
        await clock.run(generate(router, name))

    async def fail() -> None:
        raise OSError("stuck")

    rack.opened[0].aclose = fail  # type: ignore[method-assign]
    await router.aclose()

    assert rack.opened[1].closed


async def test_counting_starts_the_backend(rack: Rack, clock: ManualClock) -> None:
    router = rack.router()

    assert await clock.run(router.count_tokens("", [PromptTurn("user", "a b c")])) == 5
    assert await clock.run(router.context_tokens("small")) == 4096
    assert [one.model for one in rack.opened] == ["medium", "small"]


async def test_an_empty_name_means_the_default_and_the_backend_learns_it(
    rack: Rack, clock: ManualClock
) -> None:
    await clock.run(generate(rack.router()))

    assert rack.opened[0].requests[0].model == "medium"

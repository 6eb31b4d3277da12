"""Polling: nothing is confirmed before the core has it, and nothing stops the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botkit_telegram.failures import translated
from botkit_telegram.intake import Intake
from botkit_telegram.receive import Poller
from botkit_telegram.trees import Trees
from telegram.error import Conflict, InvalidToken, NetworkError, RetryAfter
from telegram_parts import ME, Core, said

from botkit.errors import ConfigError, PlatformError
from botkit.testing.clock import ManualClock


class Server:
    """Answers getUpdates from a script, then waits; keeps the offsets it was given."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.offsets: list[int | None] = []

    async def updates(self, offset: int | None, timeout_s: int) -> Any:
        self.offsets.append(offset)
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def translated(self, error: Exception, action: str) -> PlatformError:
        return translated(error, action, "1:token")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def core(clock: ManualClock) -> Core:
    return Core(clock)


@asynccontextmanager
async def polling(server: Server, core: Core) -> AsyncIterator[asyncio.Task[Any]]:
    intake = Intake(core, ME, calls=None, trees=Trees())  # type: ignore[arg-type]
    task = asyncio.create_task(Poller(server, intake, core.clock).run())  # type: ignore[arg-type]
    yield task
    task.cancel()
    await asyncio.wait({task})


def texts(core: Core) -> list[str]:
    return [message.text for message in core.accepted]


def numbered(update_id: int, text: str) -> dict[str, Any]:
    return {**said(text), "update_id": update_id}


async def test_what_was_handed_over_is_confirmed_once_and_then_no_offset_is_sent(
    clock: ManualClock, core: Core
) -> None:
    server = Server([numbered(5, "a"), numbered(6, "b")], [], [numbered(2, "after a quiet week")])
    async with polling(server, core):
        await clock.settle()

    assert texts(core) == ["a", "b", "after a quiet week"]
    assert server.offsets == [None, 7, None, 3]


async def test_a_batch_out_of_order_is_put_into_order(clock: ManualClock, core: Core) -> None:
    server = Server([numbered(9, "second"), numbered(8, "first")])
    async with polling(server, core):
        await clock.settle()

    assert texts(core) == ["first", "second"]
    assert server.offsets == [None, 10]


async def test_a_message_that_cannot_be_stored_is_not_confirmed_and_comes_again(
    clock: ManualClock, core: Core
) -> None:
    core.n_failures = 1
    server = Server([numbered(5, "a"), numbered(6, "b")], [numbered(5, "a"), numbered(6, "b")])
    async with polling(server, core):
        await clock.advance(10)

    assert texts(core) == ["a", "b"]
    assert server.offsets == [None, None, 7]


async def test_updates_that_make_no_sense_are_confirmed_and_passed_over(
    clock: ManualClock, core: Core
) -> None:
    poison = {"update_id": 6, "message": {"message_id": "none", "date": []}}
    server = Server([numbered(5, "a"), poison, "not even an object", numbered(8, "b")])
    async with polling(server, core):
        await clock.settle()

    assert texts(core) == ["a", "b"]
    assert server.offsets == [None, 9]


@pytest.mark.parametrize(
    "failure",
    [
        NetworkError("Bad Gateway"),
        Conflict("terminated by other getUpdates request"),
        RetryAfter(3),
        TypeError("getUpdates returned no list"),
        [{"no": "id"}],
    ],
)
async def test_after_a_failure_it_waits_and_goes_on(failure: Any, clock: ManualClock, core: Core) -> None:
    server = Server(failure, failure, [numbered(5, "a")])
    async with polling(server, core):
        await clock.settle()
        assert len(server.offsets) == 1
        await clock.advance(60)

    assert texts(core) == ["a"]


async def test_a_token_that_is_taken_back_ends_it_with_one_line(clock: ManualClock, core: Core) -> None:
    async with polling(Server(InvalidToken("1:token is gone")), core) as task:
        await clock.settle()

    error = task.exception()
    assert isinstance(error, ConfigError)
    assert "1:token" not in error.line()


async def test_a_press_of_stop_stops_and_is_answered(clock: ManualClock, core: Core) -> None:
    answered: list[tuple[str, str]] = []

    class Calls:
        async def answer_press(self, press: str, text: str) -> None:
            answered.append((press, text))
            raise PlatformError("query is too old")

    intake = Intake(core, ME, Calls(), Trees())  # type: ignore[arg-type]
    ours: Callable[[str], dict[str, Any]] = lambda data: {  # noqa: E731
        "update_id": 1,
        "callback_query": {
            "id": "q1",
            "from": said("")["message"]["from"],
            "message": said("...")["message"],
            "data": data,
        },
    }
    for data in ("stop", "from another time"):
        await intake.take(ours(data))
    await clock.settle()
    await intake.aclose()

    assert len(core.stopped) == 1
    assert answered == [("q1", "Stopped."), ("q1", "This button is out of use.")]

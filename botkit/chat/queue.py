"""The line before a backend: fair by person in tokens, bounded, with a deadline and a place in line.

A request lives as long as its ``async with`` block: leaving it by any door gives up the place in line or
the slot on the device.  There is no other way to cancel.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from botkit.chat.fair import Claim, FairLine
from botkit.chat.foreign import Foreign
from botkit.chat.interrupt import Deadline
from botkit.chat.observer import UNOBSERVED, Observer
from botkit.chat.pace import CostModel, Pace
from botkit.errors import QueueFull
from botkit.protocols import Backend, Clock
from botkit.types import Chunk, GenerationRequest, Place

if TYPE_CHECKING:
    from botkit.config import QueueSettings

OnPlace = Callable[[Place], Awaitable[None]]
FIRST = Place(before=0, wait_s=0.0)


@dataclass(eq=False, slots=True)
class Ticket(Claim):
    """A claim with the request behind it.  ``turn`` is done when the request may start."""

    request: GenerationRequest
    prompt_tokens: int
    joined_s: float
    turn: asyncio.Future[None]
    place: Place = FIRST
    place_changed: asyncio.Event = field(default_factory=asyncio.Event)
    running: bool = False
    served_tokens: int = 0
    spent_tokens: int | None = None


class GenerationQueue:
    """Lets at most ``backend.slots`` requests run at a time, the others wait in fair order.

    Bounds: *settings*.max_waiting in all and max_waiting_per_person of one; one more, or one that would wait
    longer than its own deadline by the measured pace, raises QueueFull at once.
    """

    def __init__(
        self, backend: Backend, clock: Clock, settings: QueueSettings, observer: Observer = UNOBSERVED
    ) -> None:
        """Serve *backend*, which must have been started and is closed by whoever opened it."""
        self.backend, self.clock = backend, clock
        self._settings = settings
        self._observer = observer
        self._line = FairLine(settings.quantum_tokens)
        self.foreign = Foreign(f"model '{backend.model}'")
        self._running: set[Ticket] = set()
        self._pace = Pace()
        self._costs = CostModel()

    @property
    def n_waiting(self) -> int:
        """How many requests wait."""
        return len(self._line)

    @property
    def n_running(self) -> int:
        """How many requests the backend works on."""
        return len(self._running)

    def submit(
        self, request: GenerationRequest, *, on_place: OnPlace | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Return the context in which *request* waits, then runs; it gives the stream of chunks.

        *on_place* is awaited when the request has to wait, and whenever its place changes; what it raises
        ends the wait.  Raises QueueFull, DeadlineExceeded (waited longer than ``deadline_s``, and the backend
        never saw it, or ran longer than ``reply_limit_s``), what the backend raises, and PluginError when
        that is no BotkitError.
        """
        return _Submission(self, request, on_place)

    def join(self, request: GenerationRequest) -> Ticket:
        """Take a place in line for *request*; raises QueueFull.  ``leave`` gives it back."""
        waiting = self._line.waiting(request.person)
        if waiting >= self._settings.max_waiting_per_person:
            raise _queue_full(f"{request.person or 'somebody'} has {waiting} requests waiting", None)
        if len(self._line) >= self._settings.max_waiting:
            raise _queue_full(f"{len(self._line)} requests wait", None)
        prompt_tokens = self._costs.prompt_tokens(request)
        # No reply is longer than the context, whatever was asked for.
        reply_tokens = max(0, min(request.sampling.max_tokens, self.backend.context_tokens))
        ticket = Ticket(
            request.person,
            prompt_tokens + reply_tokens,
            request=request,
            prompt_tokens=prompt_tokens,
            joined_s=self.clock.monotonic(),
            turn=asyncio.get_running_loop().create_future(),
        )
        self._line.add(ticket)
        self._dispatch()
        if not ticket.running and ticket.place.wait_s > request.deadline_s:
            wait_s = ticket.place.wait_s
            self.leave(ticket)
            raise _queue_full(f"a wait of {wait_s:.0f} s is over {request.deadline_s:.0f} s", wait_s)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give back the place in line or the slot, settle what it cost, and let the next ones start."""
        self._pace.advance(self.clock.monotonic(), len(self._running))
        if ticket.running:
            self._running.discard(ticket)
            self._settle_cost(ticket)
        else:
            self._line.remove(ticket)
            ticket.turn.cancel()
        self._dispatch()

    def note_chunk(self, ticket: Ticket, chunk: Chunk) -> None:
        """Count what *chunk* shows to have been served."""
        served = chunk.n_tokens + (0 if ticket.served_tokens else ticket.prompt_tokens)
        ticket.served_tokens += served
        if chunk.usage is not None:
            usage = chunk.usage
            ticket.spent_tokens = usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens
            # Backends that do not count tokens chunk by chunk are caught up with here.
            served += ticket.spent_tokens - ticket.served_tokens
            self._costs.learn_prompt(ticket.request, usage.prompt_tokens)
            self._observer.tokens("prompt", usage.prompt_tokens)
            self._observer.tokens("completion", usage.completion_tokens)
            self._observer.tokens("cached", usage.cached_tokens)
        self._pace.serve(served)

    def _dispatch(self) -> None:
        """Start as many as there are free slots, then tell the others their places."""
        now_s = self.clock.monotonic()
        self._pace.advance(now_s, len(self._running))
        while len(self._line) and len(self._running) < self.backend.slots:
            ticket = self._line.pop()
            assert isinstance(ticket, Ticket)
            ticket.running = True
            self._running.add(ticket)
            if not ticket.turn.done():
                ticket.turn.set_result(None)
            self._observer.queue_wait(now_s - ticket.joined_s)
        self._observer.queue_depth(len(self._line))
        self._update_places()

    def _update_places(self) -> None:
        rate = self._tokens_per_s()
        ahead = self._tokens_until_a_slot_is_free()
        for before, ticket in enumerate(self._line.in_order()):
            assert isinstance(ticket, Ticket)
            changed = before != ticket.place.before
            ticket.place = Place(before, ahead / rate if rate else 0.0)
            ahead += self._costs.expected(ticket.cost_tokens)
            if changed:
                ticket.place_changed.set()

    def _tokens_per_s(self) -> float | None:
        pace = self._pace.tokens_per_slot_s()
        return pace and pace * self.backend.slots

    def _tokens_until_a_slot_is_free(self) -> float:
        if not self._running:
            return 0.0
        left = (self._costs.expected(t.cost_tokens) - t.served_tokens for t in self._running)
        # All slots go on together, so the whole device works for as long as the shortest one takes.
        return max(0.0, min(left)) * len(self._running)

    def _settle_cost(self, ticket: Ticket) -> None:
        spent = ticket.served_tokens if ticket.spent_tokens is None else ticket.spent_tokens
        self._line.credit(ticket.person, ticket.cost_tokens - spent)
        if ticket.spent_tokens is not None:
            self._costs.learn_cost(ticket.cost_tokens, spent)


class _Submission(AbstractAsyncContextManager[AsyncIterator[Chunk]]):
    """A request's lifetime: in line, then at work."""

    def __init__(self, queue: GenerationQueue, request: GenerationRequest, on_place: OnPlace | None) -> None:
        self._queue, self._request, self._on_place = queue, request, on_place
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> AsyncIterator[Chunk]:
        queue, request = self._queue, self._request
        async with AsyncExitStack() as stack:
            ticket = queue.join(request)
            stack.callback(queue.leave, ticket)
            if not ticket.turn.done():
                await self._wait(ticket)
            what = f"the reply ran for more than {request.reply_limit_s:g} s"
            limit = stack.enter_context(Deadline(queue.clock, request.reply_limit_s, what))
            with queue.foreign:
                chunks = await limit.wait(stack.enter_async_context(queue.backend.generate(request)))
            self._stack = stack.pop_all()
        return _Stream(queue, ticket, chunks, limit)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def _wait(self, ticket: Ticket) -> None:
        deadline_s = self._request.deadline_s
        teller: asyncio.Task[None] | None = None
        if self._on_place is not None:
            teller = asyncio.create_task(_tell_places(ticket, self._on_place))
            teller.add_done_callback(partial(_pass_on_failure, ticket.turn))
        try:
            with Deadline(self._queue.clock, deadline_s, f"waited {deadline_s:g} s in line") as deadline:
                # Shielded: the future belongs to the queue, and a cancelled one could not be granted.
                await deadline.wait(asyncio.shield(ticket.turn))
        finally:
            if teller is not None:
                teller.cancel()


async def _tell_places(ticket: Ticket, on_place: OnPlace) -> None:
    """Tell *ticket*'s place now and after each change, until cancelled."""
    told = None
    while True:
        if ticket.place.before != told:
            told = ticket.place.before
            await on_place(ticket.place)
        await ticket.place_changed.wait()
        ticket.place_changed.clear()


def _pass_on_failure(turn: asyncio.Future[None], teller: asyncio.Task[None]) -> None:
    """Let what *teller* failed with end the wait for *turn*."""
    error = None if teller.cancelled() else teller.exception()
    if error is not None and not turn.done():
        turn.set_exception(error)


class _Stream(AsyncIterator[Chunk]):
    """The backend's chunks, counted and under the time limit of a reply."""

    def __init__(
        self, queue: GenerationQueue, ticket: Ticket, chunks: AsyncIterator[Chunk], limit: Deadline
    ) -> None:
        self._queue, self._ticket, self._chunks, self._limit = queue, ticket, chunks, limit

    async def __anext__(self) -> Chunk:
        with self._queue.foreign:
            chunk = await self._limit.wait(anext(self._chunks))
        self._queue.note_chunk(self._ticket, chunk)
        return chunk


def _queue_full(what: str, wait_s: float | None) -> QueueFull:
    """Return the error with an estimate for the person, where there is one."""
    error = QueueFull(what)
    if wait_s is not None:
        error.public = f"I am busy: it would take about {wait_s:.0f} s until I could begin. Please try later."
    return error

"""The walk of one message: judged, stored, answered, shown, recorded.

``receive`` is the whole of it, to be read from top to bottom.  Every stored message gets one visible outcome
here; if the process ends in between, the message stays open in the store and ``resume`` finishes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from botkit.chat import commands
from botkit.chat.delivery import Delivery, line_of, trace_of
from botkit.chat.exchange import Exchange, is_refusal, new_id, public_text
from botkit.chat.filters import FilterChain
from botkit.chat.interrupt import Deadline, Interrupt
from botkit.chat.observer import UNOBSERVED, Observer
from botkit.chat.prompt import PromptBuilder
from botkit.chat.reply import LiveReply
from botkit.chat.router import ModelRouter
from botkit.chat.scope import narrow
from botkit.chat.turnstile import Turnstile
from botkit.errors import (
    BackendBusy,
    BotkitError,
    DeadlineExceeded,
    QueueFull,
    StoreError,
)
from botkit.protocols import Clock, Reply
from botkit.types import ConversationKey, Message, Outcome, Sampling

if TYPE_CHECKING:
    from botkit.config import Settings
    from botkit.store.conversations import Appended, ConversationStore
    from botkit.store.jobs import OpenMessage
    from botkit.store.personal import Holdings

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 5
CANCEL_GRACE_S = 2.0


class Pipeline:
    """Takes messages of all adapters through the walk, one at a time in each conversation.

    It owns nothing that needs closing: *store* and *router* are closed by whoever made them.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: ConversationStore,
        router: ModelRouter,
        filters: FilterChain,
        clock: Clock,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """Keep the parts; nothing happens before the first message."""
        self._trigger, self._scope = settings.chat.trigger, settings.chat.scope
        self._store, self._router, self._filters = store, router, filters
        self._clock, self._observer = clock, observer
        self._prompts = PromptBuilder(
            settings.chat.persona,
            _sampling(settings.sampling),
            deadline_s=settings.queue.deadline_s,
            reply_limit_s=settings.engine.reply_limit_s,
        )
        self._delivery = Delivery(store, clock, observer)
        self._turnstile = Turnstile()
        self._interrupts: dict[ConversationKey, Interrupt] = {}
        self._n_active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._answering: set[asyncio.Task[Any]] = set()

    async def receive(self, message: Message, reply: Reply) -> Outcome | None:
        """Take *message* through the walk; return its outcome.

        Duplicates and messages that are not meant for the bot return None at once.  Raises nothing for what
        goes wrong with one message: the person is told.  Cancelling the caller's task leaves a stored
        message open.
        """
        with self._active():
            try:
                if self._closing and self._is_meant(message):
                    raise _closing_error()
                exchange = await self._take(message, reply)
            except Exception as error:
                return await self._turn_away(message, reply, error)
            return None if exchange is None else await self._finish(exchange)

    async def accept(self, message: Message, reply: Reply, cursor: str | None = None) -> None:
        """Store *message*, and let its answer come in the background; see ``protocols.ChatService``.

        While the bot is stopping, messages are stored and answered after the next start.
        """
        with self._active():
            try:
                exchange = await self._take(message, reply, cursor)
            except StoreError:
                raise
            except Exception as error:
                self._spawn(self._turn_away(message, reply, error))
                return
        if exchange is not None and not self._closing:
            self._spawn(self._finish(exchange))

    async def resume(self, open_message: OpenMessage, reply: Reply) -> None:
        """Finish a message that an earlier process stored and left without an outcome.

        An answer whose final text was stored is shown as it is.  A message that was begun too often is
        recorded as failed, for it may be what ends the process.
        """
        message, answer = open_message.message, open_message.answer
        exchange: Exchange | None = None
        with self._active():
            live = self._delivery.live(open_message.message_id, open_message.attempt, reply, answer.receipts)
            try:
                async with self._turnstile.through(message.conversation):
                    conversation = await self._store.history(open_message.message_id)
                    exchange = Exchange(
                        open_message.message_id, open_message.attempt, message, conversation, live
                    )
                    if answer.outcome is not None:
                        await self._delivery.redeliver(exchange, answer)
                    elif open_message.attempt > MAX_ATTEMPTS:
                        exchange.error = BotkitError(f"given up after {MAX_ATTEMPTS} attempts")
                        await self._delivery.conclude(exchange)
                    else:
                        await self._settle(exchange)
            except Exception as error:
                if exchange is None:  # it stays open: nothing was done for it
                    log.warning("message_not_resumed", error=line_of(error), exc_info=trace_of(error))
                else:
                    await self._fail(exchange, error)

    def key(self, message: Message) -> ConversationKey:
        """Return the conversation that *message* belongs to, by the setting ``chat.scope``."""
        return narrow(message, self._scope)

    def interrupt(self, key: ConversationKey) -> bool:
        """Stop what is being generated in the conversation *key*; tell whether anything was."""
        running = self._interrupts.get(key)
        if running is None or running.happened:
            return False
        running.now()
        return True

    async def drain(self, grace_s: float) -> None:
        """Take nothing new, let running replies finish for *grace_s* seconds, then cancel them.

        Returns when all have their outcome, or a few seconds after cancelling; what is left then stays open.
        """
        self._closing = True
        await self._until_idle(grace_s)
        for running in self._interrupts.values():
            running.now()
        await self._until_idle(CANCEL_GRACE_S)

    async def aclose(self) -> None:
        """Cancel what still goes on in the background; its messages stay open, to be answered later."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _is_meant(self, message: Message) -> bool:
        """Tell whether the bot should answer; other bots never, or two bots might never end."""
        if message.sender.is_bot:
            return False
        answers_all = self._trigger == "always" and not commands.is_for_another_bot(message.text)
        return message.addressed or answers_all

    async def _take(self, message: Message, reply: Reply, cursor: str | None = None) -> Exchange | None:
        """Judge and store *message* (transaction 1); None when there is nothing to answer."""
        if not self._is_meant(message):
            return None
        message = await self._filters.admit(replace(message, conversation=self.key(message)))
        appended = await self._store.append(message, cursor=cursor)
        if not appended.is_new:
            return None
        live = self._delivery.live(appended.message_id, appended.attempt, reply)
        return self._exchange(appended, message, live)

    async def _finish(self, exchange: Exchange) -> Outcome | None:
        """Give a stored message its outcome, after those before it in its conversation.

        None: the bot is stopping, and the message stays open for the next start.
        """
        key = exchange.message.conversation
        with self._active():
            try:
                if commands.is_immediate(exchange.message.text):
                    await self._settle(exchange)
                    return exchange.outcome
                must_wait = self._turnstile.is_busy(key)
                async with self._turnstile.through(key):
                    if self._closing and must_wait:
                        return None
                    if must_wait:  # what was said meanwhile belongs to the prompt
                        exchange.conversation = await self._store.history(exchange.message_id)
                    await self._settle(exchange)
            except QueueFull as error:
                exchange.error = error
                await self._delivery.conclude(exchange)
            except Exception as error:
                return await self._fail(exchange, error)
            return exchange.outcome

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let *work* go on in a task of ours."""
        task = asyncio.create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _exchange(self, appended: Appended, message: Message, live: LiveReply) -> Exchange:
        return Exchange(appended.message_id, appended.attempt, message, appended.conversation, live)

    async def _settle(self, exchange: Exchange) -> None:
        """Give a stored message its outcome."""
        parsed = commands.parse(exchange.message.text)
        if parsed is None:
            await self._answer(exchange)
        else:
            await self._obey(exchange, *parsed)

    async def _answer(self, exchange: Exchange) -> None:
        """Let the model write, show it live, and leave the device before the last words are shown."""
        interrupt = self._interrupts[exchange.message.conversation] = Interrupt()
        try:
            async with exchange.live, interrupt:
                await self._generate(exchange)
        except Exception as error:
            exchange.error = error
        finally:
            del self._interrupts[exchange.message.conversation]
        exchange.interrupted = interrupt.happened and exchange.finish is None
        await self._delivery.conclude(exchange)

    async def _generate(self, exchange: Exchange) -> None:
        exchange.model = model = exchange.conversation.model or self._router.default
        request = await self._prompts.build(
            exchange.conversation,
            model=model,
            person=exchange.message.sender.ref,
            context_tokens=await self._router.context_tokens(model),
            count_tokens=partial(self._router.count_tokens, model),
        )
        exchange.submitted_s = self._clock.monotonic()
        async with (
            self._router.submit(request, exchange.live.waiting) as chunks,
            self._filters.refined(request, chunks) as refined,
        ):
            async for chunk in refined:
                now_s = self._clock.monotonic()
                if exchange.take(chunk, now_s):
                    self._observer.first_chunk(now_s - exchange.submitted_s)
                exchange.live.show(exchange.text)
        exchange.check_finished()

    async def _obey(self, exchange: Exchange, name: str, argument: str) -> None:
        """Do what a command says and show its answer."""
        desk = _Desk(self, exchange)
        try:
            command = commands.find(name)
            call = commands.Call(exchange.message, argument, exchange.conversation, desk)
            text = await command.run(call)
        except Exception as error:
            self._delivery.log_failure(exchange, error)
            text = public_text(error, exchange.id)
        if text is not None:
            await self._delivery.answer_command(exchange, text)

    async def _regenerate(self, exchange: Exchange) -> bool:
        """Answer the last message anew on the reply of the command *exchange*; False if there is none."""
        reopened = await self._store.reopen_last(exchange.message.conversation)
        if reopened is None:
            return False
        await self._delivery.record_command(exchange, "")
        await self._answer(self._exchange(reopened, exchange.message, exchange.live))
        return True

    async def _fail(self, exchange: Exchange, error: Exception) -> Outcome:
        """End a stored message that something unforeseen befell, a reply that misbehaves for instance.

        Where the store itself failed, the message stays open.
        """
        outcome = await self._turn_away(exchange.message, exchange.live.reply, error)
        if not isinstance(error, StoreError):
            await self._delivery.record(exchange, outcome, "")
        return outcome

    async def _turn_away(self, message: Message, reply: Reply, error: Exception) -> Outcome:
        """Tell the person why their message could not be taken."""
        outcome: Outcome = "refused" if is_refusal(error) else "failed"
        exchange_id = new_id()
        log.warning(
            "message_turned_away",
            id=exchange_id,
            event_id=message.event_id,
            error=line_of(error),
            exc_info=trace_of(error),
        )
        self._observer.outcome(outcome)
        if message.addressed:
            with suppress(Exception):
                await LiveReply(reply, self._clock).finish(public_text(error, exchange_id))
        return outcome

    @contextmanager
    def _active(self) -> Iterator[None]:
        """Count who is on the walk, for ``drain``."""
        self._n_active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._n_active -= 1
            if not self._n_active:
                self._idle.set()

    async def _until_idle(self, seconds: float) -> None:
        with suppress(DeadlineExceeded), Deadline(self._clock, seconds, "draining") as deadline:
            await deadline.wait(self._idle.wait())


class _Desk:
    """What a command may have done, in the conversation of its exchange."""

    def __init__(self, pipeline: Pipeline, exchange: Exchange) -> None:
        self._pipeline, self._exchange = pipeline, exchange

    def model_names(self) -> list[str]:
        return self._pipeline._router.names()

    async def reset(self, message: Message) -> None:
        await self._pipeline._store.reset(message.conversation)

    async def choose_model(self, message: Message, model: str) -> None:
        self._pipeline._router.check_name(model)
        await self._pipeline._store.choose_model(message.conversation, model)

    def interrupt(self, message: Message) -> bool:
        return self._pipeline.interrupt(message.conversation)

    async def regenerate(self, message: Message) -> bool:
        return await self._pipeline._regenerate(self._exchange)

    async def holdings(self, message: Message) -> Holdings:
        return await self._pipeline._store.holdings(message.sender)

    async def forget(self, message: Message, farewell: str) -> None:
        # The command itself is among what is forgotten, so there is nothing left to record.
        await self._pipeline._store.forget(message.sender)
        await self._exchange.live.finish(farewell)
        self._pipeline._observer.outcome("command")


def _sampling(chosen: object) -> Sampling:
    """Return the section ``sampling`` of the settings as the value that travels."""
    named: dict[str, Any] = {
        one.name: getattr(chosen, one.name) for one in fields(Sampling) if hasattr(chosen, one.name)
    }
    return Sampling(**named)


def _closing_error() -> BackendBusy:
    error = BackendBusy("a message came while the bot was stopping")
    error.public = "I am restarting. Please try again in a moment."
    return error

"""The walk of one message: judged, stored, answered, shown, recorded.

``receive`` is the whole of it, to be read from top to bottom.  Every stored message gets one visible outcome
here; if the process ends in between, the message stays open in the store and ``resume`` finishes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from botkit.chat import commands
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
    PluginError,
    StoreError,
    UnknownNameError,
)
from botkit.protocols import Clock, Reply
from botkit.types import ConversationKey, Message, Outcome, Sampling

if TYPE_CHECKING:
    from botkit.config import Settings
    from botkit.store.conversations import Appended, ConversationStore
    from botkit.store.jobs import OpenMessage

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 5
RECORD_BACK_OFF_S = (0.2, 1.0, 3.0)
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
        self._turnstile = Turnstile()
        self._interrupts: dict[ConversationKey, Interrupt] = {}
        self._n_active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    async def receive(self, message: Message, reply: Reply) -> Outcome | None:
        """Take *message* through the walk; return its outcome.

        Duplicates and messages that are not meant for the bot return None at once.  Raises nothing for what
        goes wrong with one message: the person is told.  Cancelling the caller's task leaves a stored
        message open.
        """
        if not self._is_meant(message):
            return None
        message = replace(message, conversation=self.key(message))
        with self._active():
            try:
                if commands.is_immediate(message.text):
                    return await self._enter(message, reply)
                async with self._turnstile.through(message.conversation):
                    return await self._enter(message, reply)
            except Exception as error:
                return await self._turn_away(message, reply, error)

    async def resume(self, open_message: OpenMessage, reply: Reply) -> None:
        """Finish a message that an earlier process stored and left without an outcome.

        One that was begun too often is recorded as failed, for it may be what ends the process.
        """
        message = open_message.message
        with self._active():
            try:
                async with self._turnstile.through(message.conversation):
                    conversation = await self._store.history(open_message.message_id)
                    exchange = Exchange(
                        open_message.message_id,
                        open_message.attempt,
                        message,
                        conversation,
                        LiveReply(reply, self._clock),
                    )
                    if open_message.attempt > MAX_ATTEMPTS:
                        exchange.error = BotkitError(f"given up after {MAX_ATTEMPTS} attempts")
                        await self._conclude(exchange)
                    else:
                        await self._settle(exchange)
            except Exception as error:
                await self._turn_away(message, reply, error)

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

    def _is_meant(self, message: Message) -> bool:
        """Tell whether the bot should answer; other bots never, or two bots might never end."""
        if message.sender.is_bot:
            return False
        answers_all = self._trigger == "always" and not commands.is_for_another_bot(message.text)
        return message.addressed or answers_all

    async def _enter(self, message: Message, reply: Reply) -> Outcome | None:
        if self._closing:
            closing = BackendBusy("a message came while the bot was stopping")
            closing.public = "I am restarting. Please try again in a moment."
            raise closing
        message = await self._filters.admit(message)
        appended = await self._store.append(message)
        if not appended.is_new:
            return None
        exchange = self._exchange(appended, message, LiveReply(reply, self._clock))
        await self._settle(exchange)
        return exchange.outcome

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
        await self._conclude(exchange)

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
            self._log_failure(exchange, error)
            text = public_text(error, exchange.id)
        if text is not None:
            await self._show_final(exchange, text)
            await self._record_command(exchange, text)

    async def _regenerate(self, exchange: Exchange) -> bool:
        """Answer the last message anew on the reply of the command *exchange*; False if there is none."""
        reopened = await self._store.reopen_last(exchange.message.conversation)
        if reopened is None:
            return False
        await self._record_command(exchange, "")
        await self._answer(self._exchange(reopened, exchange.message, exchange.live))
        return True

    async def _conclude(self, exchange: Exchange) -> None:
        """Show the final text and record the outcome (transaction 2)."""
        if exchange.error is not None:
            self._log_failure(exchange, exchange.error)
        text = exchange.final_text()
        await self._show_final(exchange, text)
        # An answer stopped before its first word is no turn: nothing was said.
        said = text if exchange.text.strip() or not exchange.interrupted else ""
        await self._record(exchange, exchange.outcome, said)
        self._observer.outcome(exchange.outcome)

    async def _show_final(self, exchange: Exchange, text: str) -> None:
        try:
            await exchange.live.finish(text)
        except Exception as error:
            self._log_failure(exchange, error)
            exchange.error = exchange.error or error

    async def _record_command(self, exchange: Exchange, text: str) -> None:
        # Refused is the outcome of what never reached the model; the store keeps it out of later prompts.
        await self._record(exchange, "refused", text)
        self._observer.outcome("command")

    async def _record(self, exchange: Exchange, outcome: Outcome, text: str) -> None:
        """Record the outcome, trying again for a while; else the message stays open and is answered again."""
        completion = exchange.completion(self._clock.monotonic())
        for back_off_s in (*RECORD_BACK_OFF_S, None):
            try:
                await self._store.record(
                    exchange.message_id,
                    outcome=outcome,
                    text=text,
                    completion=completion,
                    receipts=exchange.live.receipts,
                    attempt=exchange.attempt,
                )
            except StoreError as error:
                self._log_failure(exchange, error)
                if back_off_s is not None:
                    await self._clock.sleep(back_off_s)
            else:
                log.info("message_settled", id=exchange.id, outcome=outcome, message_id=exchange.message_id)
                return

    async def _turn_away(self, message: Message, reply: Reply, error: Exception) -> Outcome:
        """Tell the person why their message could not be taken; nothing of it is left to record."""
        outcome: Outcome = "refused" if is_refusal(error) else "failed"
        exchange_id = new_id()
        log.warning(
            "message_turned_away",
            id=exchange_id,
            event_id=message.event_id,
            error=_line(error),
            exc_info=_trace(error),
        )
        self._observer.outcome(outcome)
        if message.addressed:
            with suppress(Exception):
                await LiveReply(reply, self._clock).finish(public_text(error, exchange_id))
        return outcome

    def _log_failure(self, exchange: Exchange, error: Exception) -> None:
        log.warning("exchange_failed", id=exchange.id, error=_line(error), exc_info=_trace(error))

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


def _sampling(chosen: object) -> Sampling:
    """Return the section ``sampling`` of the settings as the value that travels."""
    named: dict[str, Any] = {
        one.name: getattr(chosen, one.name) for one in fields(Sampling) if hasattr(chosen, one.name)
    }
    return Sampling(**named)


def _line(error: Exception) -> str:
    if isinstance(error, UnknownNameError):
        return f"unknown {error.kind}"  # the name is quoted from the message
    return error.line() if isinstance(error, BotkitError) else f"{type(error).__name__}: {error}"


def _trace(error: Exception) -> Exception | None:
    """Return *error* if its traceback is wanted: nobody foresaw it, or a plugin's author will look for it."""
    return None if isinstance(error, BotkitError) and not isinstance(error, PluginError) else error

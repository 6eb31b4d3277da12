"""What adapters may ask of the core: ``Chat`` implements ``protocols.ChatService``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from botkit.chat import commands
from botkit.chat.pipeline import Pipeline
from botkit.chat.router import ModelRouter
from botkit.errors import BotkitError
from botkit.protocols import Clock, Reply
from botkit.types import (
    BackendStatus,
    Chunk,
    CommandInfo,
    Conversation,
    ConversationKey,
    GenerationRequest,
    Message,
    Outcome,
    Place,
    PromptTurn,
)

if TYPE_CHECKING:
    from botkit.config import Settings
    from botkit.store.conversations import ConversationStore
    from botkit.store.jobs import OpenMessage


class Chat:
    """The core as adapters see it.  The parts it is given are closed by whoever made them."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: ConversationStore,
        router: ModelRouter,
        pipeline: Pipeline,
        clock: Clock,
        render_metrics: Callable[[], bytes] = bytes,
        other_parts: Callable[[], dict[str, str]] = dict,
    ) -> None:
        """Keep the parts.  *other_parts* names what else is not ready (adapters), and why."""
        self._settings, self._clock = settings, clock
        self._store, self._router, self._pipeline = store, router, pipeline
        self._render_metrics, self._other_parts = render_metrics, other_parts

    @property
    def settings(self) -> Settings:
        """The validated settings."""
        return self._settings

    @property
    def clock(self) -> Clock:
        """The clock that everything uses."""
        return self._clock

    async def receive(self, message: Message, reply: Reply) -> Outcome | None:
        """Answer *message* through *reply* and return its outcome; see ``Pipeline.receive``."""
        return await self._pipeline.receive(message, reply)

    async def accept(self, message: Message, reply: Reply, *, cursor: str | None = None) -> None:
        """Store *message* and answer it in the background; see ``Pipeline.accept``."""
        await self._pipeline.accept(message, reply, cursor)

    async def cursor(self, platform: str, bot: str) -> str | None:
        """Return how far *bot* has read *platform*, or None."""
        return await self._store.cursor(platform, bot)

    async def save_cursor(self, platform: str, bot: str, position: str) -> None:
        """Save how far *bot* has read *platform*."""
        await self._store.save_cursor(platform, bot, position)

    async def resume(self, open_message: OpenMessage, reply: Reply) -> None:
        """Finish a message that was left open by an earlier process; see ``Pipeline.resume``."""
        await self._pipeline.resume(open_message, reply)

    async def open_messages(self, platforms: Collection[str]) -> list[OpenMessage]:
        """Return what was stored of *platforms* and has no outcome, oldest first, each as a new attempt."""
        return await self._store.open_messages(platforms)

    def check_model(self, model: str) -> None:
        """Raise UnknownNameError, naming the nearest, unless *model* can be asked for."""
        self._router.check_name(model)

    async def prepare(self, model: str) -> None:
        """Start *model*'s backend ahead of the first request; raises what the start raises."""
        await self._router.queue(model)

    async def stop(self, message: Message) -> bool:
        """Cancel what is being generated in the message's conversation; tell whether anything was."""
        return self._pipeline.interrupt(self._pipeline.key(message))

    def submit(
        self, request: GenerationRequest, *, on_place: Callable[[Place], Awaitable[None]] | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Generate without a conversation; see ``ModelRouter.submit``."""
        return self._router.submit(request, on_place)

    async def count_tokens(self, model: str, turns: Sequence[PromptTurn]) -> int:
        """Return the prompt tokens of *turns* for *model*, starting its backend if need be."""
        return await self._router.count_tokens(model, turns)

    def commands(self) -> Sequence[CommandInfo]:
        """Return the commands that people may type, for a platform's menu."""
        return commands.MENU

    def models(self) -> list[str]:
        """Return the names of the models that can be asked for, the default one first."""
        return self._router.names()

    def backends(self) -> list[BackendStatus]:
        """Return how each started backend is doing."""
        return self._router.statuses()

    async def conversations(self, platform: str, bot: str, owner: str, limit: int = 50) -> list[Conversation]:
        """Return *owner*'s conversations there, newest first, without turns."""
        return await self._store.conversations(platform, bot, owner, limit)

    async def conversation(self, message_or_key: Message | ConversationKey) -> Conversation | None:
        """Return a conversation with its turns, or None; a message stands for the one it belongs to."""
        return await self._store.conversation(self._key(message_or_key))

    async def choose_model(self, key: Message | ConversationKey, model: str) -> None:
        """Use *model* in that conversation from now on; raises UnknownNameError."""
        self._router.check_name(model)
        await self._store.choose_model(self._key(key), model)

    async def ready(self) -> dict[str, str]:
        """Return what is not ready, by part; empty when all is well."""
        missing = dict(self._other_parts())
        try:
            await self._store.check()
        except BotkitError as error:
            missing["database"] = error.line()
        for status in self._router.statuses():
            if status.state != "ready":
                missing[f"model {status.model}"] = status.detail or status.state
        return missing

    def metrics(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return self._render_metrics()

    async def drain(self, grace_s: float) -> None:
        """Take nothing new, let replies finish for *grace_s* seconds, then cancel them."""
        await self._pipeline.drain(grace_s)

    def _key(self, message_or_key: Message | ConversationKey) -> ConversationKey:
        if isinstance(message_or_key, Message):
            return self._pipeline.key(message_or_key)
        return message_or_key

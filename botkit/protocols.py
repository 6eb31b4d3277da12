"""What may be plugged in: the four kinds of parts, and the small services they are handed.

An *architecture* (torch, synchronous) is described in ``botkit.engine.architecture``, the only one that
needs torch to be stated.  Here are the *backend*, the *adapter* and the *filter*, and ``Clock``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from botkit.types import (
    BackendStatus,
    Chunk,
    CommandInfo,
    Conversation,
    GenerationRequest,
    Limits,
    Message,
    Outcome,
    Place,
    PromptTurn,
)


class Clock(Protocol):
    """Time as an argument, so that tests can turn the hands."""

    def now(self) -> datetime:
        """Return the time of day, timezone-aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards, from an arbitrary start."""

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*."""


@runtime_checkable
class Backend(Protocol):
    """A generator of text, whatever stands behind it: our engine, a remote server, an echo.

    ``start`` may take long (weights are loaded); ``aclose`` ends everything it started.  The caller that
    constructed a backend closes it.
    """

    @property
    def model(self) -> str:
        """The name of the model this backend serves."""

    @property
    def context_tokens(self) -> int:
        """The most tokens that prompt and reply may have together; known once started."""

    @property
    def slots(self) -> int:
        """How many requests it works on at a time; more than that belong in the queue."""

    async def start(self) -> None:
        """Make ready to generate.  Raises ModelError or BackendError with one clear line."""

    async def aclose(self) -> None:
        """Cancel what runs and free the device.  Safe to call twice."""

    async def count_tokens(self, turns: Sequence[PromptTurn]) -> int:
        """Return how many tokens *turns* cost as a prompt, the chat template included."""

    def generate(self, request: GenerationRequest) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Work on *request* for as long as the returned context is open.

        Leaving the context, by whatever door, cancels the work on the device; there is no other way to
        cancel.  The iterator ends after the chunk that has ``finish``, or raises a BotkitError.
        """

    def status(self) -> BackendStatus:
        """Tell how the backend is doing; never blocks."""


class Reply(Protocol):
    """Our side of one exchange on a platform: where an answer to one message is shown.

    Receipts are the platform's own ids of our messages, as text.  ``final`` marks the last version of a
    message.  Both raise PlatformError, and Undeliverable where trying again is of no use.
    """

    @property
    def limits(self) -> Limits:
        """What this platform allows here."""

    async def send(self, text: str, *, final: bool) -> str:
        """Show *text* as a new message and return its receipt."""

    async def edit(self, receipt: str, text: str, *, final: bool) -> None:
        """Replace the text of the message *receipt*."""

    async def typing(self) -> None:
        """Show that an answer is being written, where the platform has such a sign."""

    async def waiting(self, place: Place) -> None:
        """Show the place in line; called when it changes, and not at all when there is no line."""


class Filter(Protocol):
    """Judges what comes in and what goes out.  Filters are asked in the order of their ``order``.

    ``admit`` returns the message to go on with (changed or not) or refuses it with a BadRequestError whose
    ``public`` text becomes the answer.  ``refine`` wraps the stream: it may hold text back, change it or
    end it early, and it must pass on the chunk that has ``finish``.
    """

    name: str
    order: int

    async def admit(self, message: Message) -> Message:
        """Return *message*, perhaps changed; raise a BadRequestError to refuse it."""

    def refine(self, request: GenerationRequest, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        """Return the stream to go on with."""


class ChatService(Protocol):
    """What an adapter may ask of the core.  ``botkit.app`` hands it over; adapters never build it."""

    @property
    def settings(self) -> Any:
        """The validated ``botkit.config.Settings``."""

    @property
    def clock(self) -> Clock:
        """The clock that everything uses."""

    async def receive(self, message: Message, reply: Reply) -> Outcome | None:
        """Store *message*, answer it through *reply*, store the answer, return the outcome.

        Duplicates and messages not meant for the bot return None at once.  Never raises for what goes wrong
        inside one exchange: the person is told instead.
        """

    async def accept(self, message: Message, reply: Reply, *, cursor: str | None = None) -> None:
        """Store *message* and answer it through *reply* in the background.

        Returns once the platform may be told that the message has arrived: it is stored, or was stored
        before, is not meant for the bot, or was refused.  *cursor* is how far the platform has then been
        read, and is saved in the same transaction.  Raises StoreError when it could not be stored.
        """

    async def cursor(self, platform: str, bot: str) -> str | None:
        """Return how far *bot* has read *platform*, as it was last saved, or None."""

    async def save_cursor(self, platform: str, bot: str, position: str) -> None:
        """Save how far *bot* has read *platform*; raises StoreError."""

    async def stop(self, message: Message) -> bool:
        """Cancel what is being generated in the message's conversation; tell whether anything was."""

    def submit(
        self, request: GenerationRequest, *, on_place: Callable[[Place], Awaitable[None]] | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Generate without a conversation (the OpenAI-compatible API): fair queue, then backend."""

    async def count_tokens(self, model: str, turns: Sequence[PromptTurn]) -> int:
        """Return the prompt tokens of *turns* for *model*, starting its backend if need be."""

    def commands(self) -> Sequence[CommandInfo]:
        """Return the commands that people may type, for a platform's menu."""

    def models(self) -> list[str]:
        """Return the names of the models that can be asked for, the default one first."""

    def backends(self) -> list[BackendStatus]:
        """Return how each started backend is doing."""

    async def conversations(self, platform: str, bot: str, owner: str, limit: int = 50) -> list[Conversation]:
        """Return *owner*'s conversations (a person's ``platform:id``) there, newest first, without turns."""

    async def conversation(self, message_or_key: Any) -> Conversation | None:
        """Return the conversation of a ConversationKey with its turns, or None."""

    async def choose_model(self, key: Any, model: str) -> None:
        """Use *model* in the conversation of that ConversationKey from now on."""

    async def ready(self) -> dict[str, str]:
        """Return what is not ready, by part; empty when all is well (database, backends, adapters)."""

    def metrics(self) -> bytes:
        """Return the metrics in Prometheus' text format."""


@runtime_checkable
class Resuming(Protocol):
    """An adapter that can finish answers which an earlier process began."""

    def reply(self, message: Message, receipts: Sequence[str]) -> Reply:
        """Return where the answer to *message* is to be shown; *receipts* of it are on the platform already.

        Called before the adapter serves, too; what is called on the reply then waits until it can be done.
        """


class Adapter(Protocol):
    """Connects one chat platform (or a web page, or an API) to the core."""

    @property
    def name(self) -> str:
        """The adapter's name, as in ``adapters.NAME``."""

    async def run(self, service: ChatService, started: Callable[[str], None]) -> None:
        """Serve until cancelled; then finish or drop what is open within a few seconds, and return.

        Calls *started* once, with one line for the operator (an address, a user name), when it serves.
        Raises EnvironmentFailure, ConfigError or PlatformError when it cannot start.
        """

"""Judging what comes in and what goes out, one filter after the other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from botkit.chat.foreign import Foreign
from botkit.errors import BadRequestError
from botkit.protocols import Filter
from botkit.types import Chunk, GenerationRequest, Message

ADMISSION_ORDER = -1000
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
LINE_END = re.compile(r"\r\n?")


class FilterChain:
    """The filters in the order of their ``order``; a filter that breaks stops the message, not the bot.

    A filter may be the guard that keeps something out or in.  So when one raises what it should not, the
    message fails (PluginError) instead of passing unjudged.
    """

    def __init__(self, filters: Iterable[Filter]) -> None:
        """Order *filters*; equal orders keep their sequence."""
        ordered = sorted(filters, key=lambda one: one.order)
        self._filters = [(one, Foreign(f"filter '{one.name}'")) for one in ordered]

    async def admit(self, message: Message) -> Message:
        """Return *message* as the filters left it; raises the BotkitError of the first that refuses it."""
        for one, foreign in self._filters:
            with foreign:
                message = await one.admit(message)
        return message

    @asynccontextmanager
    async def refined(
        self, request: GenerationRequest, chunks: AsyncIterator[Chunk]
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Give the stream through all filters; leaving the context closes what they opened, last first."""
        async with AsyncExitStack() as stack:
            for one, foreign in self._filters:
                with foreign:
                    stream = one.refine(request, chunks)
                if stream is not chunks:
                    chunks = refined = _Refined(stream, foreign)
                    stack.push_async_callback(refined.aclose)
            yield chunks


class _Refined(AsyncIterator[Chunk]):
    """What one filter made of the stream, under its name."""

    def __init__(self, stream: AsyncIterator[Chunk], foreign: Foreign) -> None:
        self._stream, self._foreign = stream, foreign

    async def __anext__(self) -> Chunk:
        with self._foreign:
            return await anext(self._stream)

    async def aclose(self) -> None:
        """Close the filter's generator; a stream of another kind has nothing to close."""
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            with self._foreign:
                await close()


class Admission:
    """The first filter: refuses empty and oversized messages and takes out what no text should hold.

    Control characters but tab and line feed are taken out, line ends become line feeds, lone surrogates
    become the replacement character.  A text is measured before anything else is done with it.
    """

    name = "admission"
    order = ADMISSION_ORDER

    def __init__(self, max_message_bytes: int) -> None:
        """Refuse messages of more than *max_message_bytes* bytes of UTF-8."""
        self._max_bytes = max_message_bytes

    async def admit(self, message: Message) -> Message:
        """Return *message* with clean text and sender's name; raises BadRequestError."""
        # Every character has at least one byte: the long ones are known without encoding them.
        n_bytes = len(message.text)
        if n_bytes <= self._max_bytes:
            n_bytes = len(message.text.encode("utf-8", "surrogatepass"))
        if n_bytes > self._max_bytes:
            raise _refused(f"the message has at least {n_bytes} bytes, {self._max_bytes} are the most I read")
        text = clean(message.text)
        if not text.strip():
            raise _refused("the message is empty")
        return replace(message, text=text, sender=replace(message.sender, name=clean(message.sender.name)))

    def refine(self, request: GenerationRequest, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        """Return *chunks* as they are."""
        return chunks


def clean(text: str) -> str:
    """Return *text* without control characters and lone surrogates, its line ends as line feeds."""
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return CONTROL.sub("", LINE_END.sub("\n", text))


def _refused(what: str) -> BadRequestError:
    error = BadRequestError(what)
    error.public = f"{what[0].upper()}{what[1:]}."
    return error

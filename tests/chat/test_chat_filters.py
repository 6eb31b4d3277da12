"""Judging what comes in and what goes out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from chat_parts import ANNA, message, request
from hypothesis import given
from hypothesis import strategies as st

from botkit.chat.filters import ADMISSION_ORDER, Admission, FilterChain, clean
from botkit.errors import BackendDied, BadRequestError, BotkitError, PluginError
from botkit.types import Chunk, GenerationRequest, Message


class Mark:
    """A filter that puts its name before each text and notes when its stream is closed."""

    def __init__(self, name: str, order: int = 0, log: list[str] | None = None) -> None:
        self.name, self.order = name, order
        self.log = [] if log is None else log

    async def admit(self, message: Message) -> Message:
        return replace(message, text=f"{self.name}({message.text})")

    async def refine(self, request: GenerationRequest, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        try:
            async for chunk in chunks:
                yield replace(chunk, text=f"{self.name}({chunk.text})")
        finally:
            self.log.append(f"{self.name} closed")


class Broken:
    """A filter that raises *error* where it is asked to: admit, refine, stream or close."""

    name, order = "broken", 5

    def __init__(self, where: str, error: Exception) -> None:
        self.where, self.error = where, error

    def _fail(self, where: str) -> None:
        if where == self.where:
            raise self.error

    async def admit(self, message: Message) -> Message:
        self._fail("admit")
        return message

    def refine(self, request: GenerationRequest, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        self._fail("refine")
        return self._stream(chunks)

    async def _stream(self, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        try:
            async for chunk in chunks:
                self._fail("stream")
                yield chunk
        finally:
            self._fail("close")


async def source(*texts: str) -> AsyncIterator[Chunk]:
    for text in texts:
        yield Chunk("1", text)


async def refined(chain: FilterChain, chunks: AsyncIterator[Chunk]) -> list[str]:
    async with chain.refined(request(), chunks) as stream:
        return [chunk.text async for chunk in stream]


async def test_filters_are_asked_in_their_order_on_both_ways() -> None:
    chain = FilterChain([Mark("late", 9), Mark("early", -9), Mark("mid")])

    assert (await chain.admit(message(text="x"))).text == "late(mid(early(x)))"
    assert await refined(chain, source("x", "y")) == ["late(mid(early(x)))", "late(mid(early(y)))"]


async def test_without_filters_all_passes() -> None:
    chain = FilterChain([])

    assert await chain.admit(message()) == message()
    assert await refined(chain, source("a", "b")) == ["a", "b"]


async def test_leaving_early_closes_the_filters_last_first() -> None:
    log: list[str] = []
    chain = FilterChain([Mark("a", 1, log), Mark("b", 2, log)])
    chunks = source("x", "y")
    async with chain.refined(request(), chunks) as stream:
        await anext(stream)
        assert log == []

    assert log == ["b closed", "a closed"]
    await chunks.aclose()


async def test_filters_are_closed_when_the_reader_raises() -> None:
    log: list[str] = []
    chunks = source("x", "y")

    async def read() -> None:
        async with FilterChain([Mark("a", 1, log)]).refined(request(), chunks) as stream:
            await anext(stream)
            raise BackendDied("gone")

    with pytest.raises(BackendDied):
        await read()
    assert log == ["a closed"]
    await chunks.aclose()


@pytest.mark.parametrize("where", ["admit", "refine", "stream", "close"])
async def test_a_filter_that_breaks_is_named_and_nothing_passes_unjudged(where: str) -> None:
    chain = FilterChain([Mark("fine", 1), Broken(where, KeyError("oops"))])
    seen: list[str] = []

    async def walk() -> None:
        await chain.admit(message())
        async with chain.refined(request(), source("x")) as stream:
            seen.extend([chunk.text async for chunk in stream])

    with pytest.raises(PluginError, match="filter 'broken' failed: KeyError"):
        await walk()
    assert seen == []


@pytest.mark.parametrize("where", ["admit", "refine", "stream"])
async def test_a_filter_may_refuse_with_an_error_of_ours(where: str) -> None:
    chain = FilterChain([Broken(where, BotkitError("not here"))])

    async def walk() -> None:
        await chain.admit(message())
        await refined(chain, source("x"))

    with pytest.raises(BotkitError, match="not here"):
        await walk()


async def test_a_filter_is_not_blamed_for_what_the_model_raised() -> None:
    async def dying() -> AsyncIterator[Chunk]:
        yield Chunk("1", "x")
        raise BackendDied("gone")

    with pytest.raises(BackendDied):
        await refined(FilterChain([Mark("a"), Broken("never", KeyError())]), dying())


@pytest.mark.parametrize("text", ["", " \n\t ", "\x00\x01", "\x7f"])
async def test_an_empty_message_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match="empty") as caught:
        await Admission(1000).admit(message(text=text))
    assert caught.value.public == "The message is empty."


@pytest.mark.parametrize("text", ["x" * 1_000_000, "é" * 40_000, "😀" * 20_000, "\ud800" * 30_000])
async def test_a_message_over_the_limit_is_refused_with_the_limit(text: str) -> None:
    with pytest.raises(BadRequestError, match="65536 are the most") as caught:
        await Admission(65536).admit(message(text=text))
    assert caught.value.public.endswith("65536 are the most I read.")


async def test_a_message_of_just_the_limit_passes() -> None:
    for text in ("x" * 1000, "é" * 500, "😀" * 250):
        assert (await Admission(1000).admit(message(text=text))).text == text


async def test_text_and_name_are_cleaned() -> None:
    sender = replace(ANNA, name="An\x00na\ud83d")
    taken = await Admission(1000).admit(message(text="a\x1b[31m\r\nb\rc\td\ud800e", sender=sender))

    assert taken.text == "a[31m\nb\nc\td\ufffde"
    assert taken.sender.name == "Anna\ufffd"


async def test_admission_comes_first_and_leaves_the_answer_alone() -> None:
    chunks = source("x")

    assert Admission(10).order == ADMISSION_ORDER < 0
    assert Admission(10).refine(request(), chunks) is chunks
    await chunks.aclose()


@given(st.text(alphabet=st.characters(codec=None), max_size=50))
def test_clean_text_can_be_sent_and_stored_and_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)

    cleaned.encode("utf-8")
    assert not set(cleaned) & {chr(n) for n in range(32) if n not in (9, 10)}
    assert "\x7f" not in cleaned
    assert clean(cleaned) == cleaned


def test_halves_of_a_character_are_put_together() -> None:
    assert clean("\ud83d\ude00 \ude00\ud83d") == "😀 \ufffd\ufffd"

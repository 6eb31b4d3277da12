"""The model ``echo`` answers with the newest turn's own words and keeps to every rule of a backend."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botkit.engine.echo import EchoBackend
from botkit.plugins import Plugins
from botkit.protocols import Backend
from botkit.types import Chunk, GenerationRequest, PromptTurn, Sampling, TokenLogprob, Usage


def request(text: str, **sampling: object) -> GenerationRequest:
    turns = (PromptTurn("system", "be kind"), PromptTurn("user", "old"), PromptTurn("user", text))
    return GenerationRequest("r", "echo", turns, sampling=Sampling(**{"max_tokens": 10_000, **sampling}))


async def answer(wanted: GenerationRequest) -> list[Chunk]:
    backend = EchoBackend()
    await backend.start()
    async with backend.generate(wanted) as chunks:
        return [chunk async for chunk in chunks]


async def test_it_answers_word_by_word_with_the_newest_turn() -> None:
    chunks = await answer(request("  one two\n\nthree "))

    assert [chunk.text for chunk in chunks] == ["  one", " two", "\n\nthree", " ", ""]
    assert [chunk.n_tokens for chunk in chunks] == [1, 1, 1, 1, 0]
    assert chunks[-1].finish == "stop"
    assert chunks[-1].usage == Usage(prompt_tokens=7, completion_tokens=4)
    assert all(chunk.finish is None and chunk.usage is None for chunk in chunks[:-1])


@given(text=st.text(max_size=200))
async def test_the_text_is_repeated_to_the_letter(text: str) -> None:
    assert "".join(chunk.text for chunk in await answer(request(text))) == text


async def test_a_raw_prompt_is_repeated() -> None:
    chunks = await answer(GenerationRequest("r", "echo", prompt="go on"))

    assert "".join(chunk.text for chunk in chunks) == "go on"
    assert chunks[-1].usage == Usage(2, 2)


async def test_max_tokens_ends_it_by_length() -> None:
    chunks = await answer(request("one two three", max_tokens=2))

    assert "".join(chunk.text for chunk in chunks) == "one two"
    assert chunks[-1].finish == "length"
    assert chunks[-1].usage == Usage(6, 2)


@pytest.mark.parametrize(
    ("stop", "text"),
    [(("e t",), "on"), (("three", "two"), "one "), (("one",), ""), (("four", ""), "one two three")],
)
async def test_the_first_stop_string_ends_it_and_is_not_shown(stop: tuple[str, ...], text: str) -> None:
    chunks = await answer(request("one two three", stop=stop))

    assert "".join(chunk.text for chunk in chunks) == text
    assert chunks[-1].finish == "stop"


async def test_a_stop_string_beyond_max_tokens_is_never_reached() -> None:
    chunks = await answer(request("one two three", max_tokens=2, stop=("three",)))

    assert chunks[-1].finish == "length"


async def test_log_probabilities_are_certain_where_they_are_wanted() -> None:
    chunks = await answer(request("one two", logprobs=3))

    assert [chunk.logprobs for chunk in chunks] == [
        (TokenLogprob("one", 0.0),),
        (TokenLogprob(" two", 0.0),),
        (),
    ]


async def test_leaving_the_block_ends_the_work() -> None:
    backend = EchoBackend()
    async with backend.generate(request("one two three")) as chunks:
        assert (await anext(chunks)).text == "one"
        assert backend.status().running == 1

    assert backend.status().running == 0
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_a_long_answer_lets_others_run() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await answer(request("word " * 500))
    counting.cancel()

    assert turns >= 500


async def test_it_is_a_backend_that_a_plugin_registers() -> None:
    backend = Plugins.load().backends["echo"].create(None)

    assert isinstance(backend, Backend)
    assert backend.model == "echo"
    assert backend.status().state == "stopped"
    await backend.start()
    assert backend.status().state == "ready"
    assert await backend.count_tokens([PromptTurn("user", "one two")]) == 2
    await backend.aclose()
    await backend.aclose()
    assert backend.status().state == "stopped"


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from botkit.plugins import Plugins; Plugins.load(disabled=['transformer', 'web']);"
        " import botkit.engine.echo; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

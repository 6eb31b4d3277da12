"""The API through the official client of those who defined it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import openai as openai_library
import pytest
from openai import AsyncOpenAI
from web_sites import RunningSite, running_site

from botkit.clock import SystemClock
from botkit.errors import (
    BackendDied,
    BackendError,
    BadRequestError,
    ContextTooLong,
    DeadlineExceeded,
    ModelError,
    QueueFull,
)
from botkit.testing.scripted import ScriptedBackend
from botkit.types import Chunk, GenerationRequest, PromptTurn, TokenLogprob

ASK = [{"role": "user", "content": "one two three"}]


class Telling(ScriptedBackend):
    """Says how likely each of its words was."""

    async def chunks_of(self, request: GenerationRequest) -> list[Chunk]:
        chunks = await super().chunks_of(request)
        if request.sampling.logprobs is None:
            return chunks
        top = (("x", -0.5), ("y", -1.5))[: request.sampling.logprobs]
        return [
            Chunk(c.request_id, c.text, c.n_tokens, logprobs=(TokenLogprob(c.text, -0.25, top),))
            if c.text
            else c
            for c in chunks
        ]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[RunningSite]:
    async with running_site(tmp_path, Telling(SystemClock())) as running:
        yield running


async def test_a_chat_completion_has_text_finish_and_usage(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(model="scripted", messages=ASK)

    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        5,
        3,
        8,
    )
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


async def test_a_stream_brings_the_same_text_in_pieces_and_the_usage_at_its_end(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(
        model="scripted", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [piece for piece in pieces if piece] == ["one", " two", " three"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 8
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_stream_has_no_usage_unless_it_is_asked_for(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(model="scripted", messages=ASK, stream=True)

    assert [chunk.usage async for chunk in stream if chunk.usage] == []


async def test_the_token_limit_ends_an_answer_with_length(openai: AsyncOpenAI) -> None:
    by_new_name = await openai.chat.completions.create(
        model="scripted", messages=ASK, max_completion_tokens=2
    )
    by_old_name = await openai.chat.completions.create(model="scripted", messages=ASK, max_tokens=1)

    assert (by_new_name.choices[0].message.content, by_new_name.choices[0].finish_reason) == (
        "one two",
        "length",
    )
    assert by_old_name.choices[0].message.content == "one"


async def test_what_is_asked_for_reaches_the_backend(site: RunningSite, openai: AsyncOpenAI) -> None:
    await openai.chat.completions.create(
        model="scripted",
        messages=[
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c"},
            {"role": "user", "content": "d"},
        ],
        temperature=0.25,
        top_p=0.5,
        stop=["END", "###"],
        seed=7,
        max_tokens=9,
        user="alice",
        extra_body={"top_k": 3, "min_p": 0.1, "repetition_penalty": 1.5, "ignore_eos": True},
        extra_headers={"x-session-id": "room-1", "x-request-id": "r1", "x-deadline-ms": "1500"},
    )

    request = site.backend.requests[0]
    assert request.turns == (
        PromptTurn("system", "be kind"),
        PromptTurn("user", "a b"),
        PromptTurn("assistant", "c"),
        PromptTurn("user", "d"),
    )
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (0.25, 0.5, 3, 0.1)
    assert (sampling.repetition_penalty, sampling.seed, sampling.max_tokens) == (1.5, 7, 9)
    assert (sampling.stop, sampling.ignore_end, sampling.logprobs) == (("END", "###"), True, None)
    assert (request.person, request.session, request.deadline_s) == ("alice", "room-1", 1.5)
    assert request.id.startswith("r1.")


async def test_what_is_left_out_comes_from_the_settings(site: RunningSite, openai: AsyncOpenAI) -> None:
    await openai.chat.completions.create(model="scripted", messages=ASK, stop="END", top_p=None)

    request, settings = site.backend.requests[0], site.chat.settings
    assert request.sampling.max_tokens == settings.sampling.max_tokens
    assert request.sampling.top_p == settings.sampling.top_p
    assert request.sampling.stop == ("END",)
    assert (request.person, request.deadline_s) == ("127.0.0.1", settings.queue.deadline_s)


async def test_log_probabilities_come_in_the_chat_form(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(
        model="scripted", messages=ASK, logprobs=True, top_logprobs=2
    )

    content = answer.choices[0].logprobs.content
    assert [one.token for one in content] == ["one", " two", " three"]
    assert math.isclose(content[0].logprob, -0.25)
    assert bytes(content[1].bytes) == b" two"
    assert [(top.token, top.logprob) for top in content[0].top_logprobs] == [("x", -0.5), ("y", -1.5)]


async def test_log_probabilities_come_in_a_stream(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(model="scripted", messages=ASK, logprobs=True, stream=True)
    found = [chunk.choices[0].logprobs async for chunk in stream]

    tokens = [one.token for logprobs in found if logprobs for one in logprobs.content]
    assert tokens == ["one", " two", " three"]


async def test_a_completion_continues_a_prompt(site: RunningSite, openai: AsyncOpenAI) -> None:
    answer = await openai.completions.create(model="scripted", prompt=["a b c"], max_tokens=2, logprobs=1)

    assert site.backend.requests[0].prompt == "a b c"
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("a b", "length")
    logprobs = answer.choices[0].logprobs
    assert (logprobs.tokens, logprobs.text_offset) == (["a", " b"], [0, 1])
    assert logprobs.top_logprobs[0] == {"x": -0.5}


async def test_a_completion_streams(openai: AsyncOpenAI) -> None:
    stream = await openai.completions.create(
        model="scripted", prompt="a bb c", stream=True, logprobs=0, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "a bb c"
    with_logprobs = [c.choices[0].logprobs for c in chunks if c.choices and c.choices[0].logprobs]
    assert [offset for one in with_logprobs for offset in one.text_offset] == [0, 1, 4]
    assert chunks[-1].usage.completion_tokens == 3


async def test_models_are_listed_and_found(openai: AsyncOpenAI) -> None:
    assert [model.id async for model in openai.models.list()] == ["scripted"]
    assert (await openai.models.retrieve("scripted")).owned_by == "botkit"
    with pytest.raises(openai_library.NotFoundError, match="did you mean 'scripted'"):
        await openai.models.retrieve("scriptd")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_model_is_404_and_names_the_nearest(openai: AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(openai_library.NotFoundError, match="did you mean 'scripted'") as caught:
        await openai.chat.completions.create(model="scriptd", messages=ASK, stream=stream)

    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ContextTooLong("the prompt has 9 tokens, the context 4"), 400, "context_length_exceeded"),
        (BadRequestError("the prompt is empty"), 400, None),
        (QueueFull("200 requests wait"), 429, "rate_limit_exceeded"),
        (DeadlineExceeded("waited 30 s in line"), 504, "deadline_exceeded"),
        (BackendDied("the engine is gone: pid 7"), 503, "backend_unavailable"),
        (BackendError("CUDA error at /secret/path"), 500, None),
        (ModelError("weights at /secret/path are truncated"), 500, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_a_failure_before_the_first_text_has_its_status(
    site: RunningSite, openai: AsyncOpenAI, stream: bool, error: Exception, status: int, code: str | None
) -> None:
    site.backend.fail_after(0, error)

    with pytest.raises(openai_library.APIStatusError) as caught:
        await openai.chat.completions.create(model="scripted", messages=ASK, stream=stream)

    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert "/secret/path" not in caught.value.message
    assert (caught.value.response.headers.get("retry-after") is not None) == (status in (429, 503))


async def test_a_failure_in_mid_stream_is_an_event_with_an_error(
    site: RunningSite, openai: AsyncOpenAI
) -> None:
    site.backend.fail_after(2, BackendDied("the engine is gone"))
    pieces: list[str | None] = []

    stream = await openai.chat.completions.create(model="scripted", messages=ASK, stream=True)

    async def read() -> None:
        async for chunk in stream:
            pieces.append(chunk.choices[0].delta.content)

    with pytest.raises(openai_library.APIError, match="My model failed") as caught:
        await read()

    assert [piece for piece in pieces if piece] == ["one", " two"]
    assert caught.value.code == "backend_unavailable"
    assert site.backend.running == 0

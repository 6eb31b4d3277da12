"""The engine in a process of its own: what it says, and what happens when it dies."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from botkit.clock import SystemClock
from botkit.config import EngineSettings
from botkit.engine import backend as backend_module
from botkit.engine.backend import EngineBackend
from botkit.engine.process import Mailbox
from botkit.errors import BackendDied, BackendError, BadRequestError, ModelError
from botkit.types import Chunk, GenerationRequest, PromptTurn, Sampling, Usage

SETTINGS = EngineSettings(device="cpu", dtype="float32", slots=2, context_tokens=96, threads=1)
TURNS = (PromptTurn("user", "hello"),)
ENDLESS = Sampling(max_tokens=80, temperature=0.0, repetition_penalty=1.0, ignore_end=True)


def request(name: str, **changes: object) -> GenerationRequest:
    return GenerationRequest(name, "tiny", TURNS, sampling=replace(ENDLESS, **changes))  # type: ignore[arg-type]


@pytest.fixture
async def backend(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EngineBackend]:
    monkeypatch.setattr(backend_module, "BACK_OFF_S", (0.0,))
    one = EngineBackend("tiny", tiny_folder, SETTINGS, SystemClock())
    await one.start()
    yield one
    await one.aclose()


async def say(backend: EngineBackend, asked: GenerationRequest) -> tuple[str, list[Chunk]]:
    async with backend.generate(asked) as stream:
        chunks = [chunk async for chunk in stream]
    return "".join(chunk.text for chunk in chunks), chunks


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def kill(backend: EngineBackend) -> None:
    assert backend._process is not None
    os.kill(backend._process.child.pid, signal.SIGKILL)


@pytest.mark.slow
async def test_it_generates_counts_and_tells_how_it_is_doing(backend: EngineBackend) -> None:
    assert backend.status().state == "ready"
    assert backend.status().resident_bytes > 2**20
    assert backend.context_tokens == 96
    n_prompt = await backend.count_tokens(TURNS)

    texts = await asyncio.gather(*(say(backend, request(str(n))) for n in range(5)))

    assert len({text for text, _ in texts}) == 1
    for _, chunks in texts:
        assert [chunk.finish for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1].usage == Usage(n_prompt, 80)
        assert sum(chunk.n_tokens for chunk in chunks) == 80
    assert backend.status().running == 0
    with pytest.raises(BadRequestError, match="context of this model"):
        await say(backend, GenerationRequest("long", "tiny", (PromptTurn("user", "x" * 500),)))


@pytest.mark.slow
async def test_leaving_the_context_frees_the_slot(backend: EngineBackend) -> None:
    for n in range(6):  # three times as many as there are slots
        async with backend.generate(request(f"left{n}")) as stream:
            await anext(stream)
    text, _ = await say(backend, request("last"))

    assert text
    assert backend.status().running == 0


@pytest.mark.slow
async def test_a_killed_process_ends_what_had_begun_and_retries_what_had_not(backend: EngineBackend) -> None:
    wanted, _ = await say(backend, request("first"))
    begun = [backend.generate(request(f"begun{n}")) for n in range(2)]
    streams = [await one.__aenter__() for one in begun]
    for stream in streams:
        await anext(stream)
    assert backend._process is not None
    os.kill(backend._process.child.pid, signal.SIGSTOP)  # so that nothing more comes of the two
    waiting = asyncio.create_task(say(backend, request("waiting")))
    await until(lambda: backend.status().running == 3)

    kill(backend)

    for stream in streams:
        with pytest.raises(BackendDied):
            async for _ in stream:
                pass
    assert (await waiting)[0] == wanted
    assert backend.status().state == "ready"
    assert backend.status().restarts == 1
    for one in begun:
        await one.__aexit__(None, None, None)
    assert backend.status().running == 0


@pytest.mark.slow
async def test_a_request_that_ends_two_processes_is_given_up(
    backend: EngineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend._process is not None
    kind = type(backend._process)
    send = kind.generate

    def deadly(process, asked: GenerationRequest, mailbox: Mailbox) -> None:
        if asked.id == "deadly":
            process.kill()
            process.mailboxes[asked.id] = mailbox
        else:
            send(process, asked, mailbox)

    monkeypatch.setattr(kind, "generate", deadly)

    with pytest.raises(BackendDied):
        await say(backend, request("deadly"))
    assert (await say(backend, request("harmless")))[0]
    assert backend.status().restarts == 2


@pytest.mark.slow
async def test_a_hung_process_is_killed_and_started_again(
    backend: EngineBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, _ = await say(backend, request("first"))
    monkeypatch.setattr(backend_module, "STALL_S", 0.4)
    kill(backend)  # the supervisor looks at the next process with the shorter patience
    await until(lambda: backend.status().restarts == 1 and backend.status().state == "ready")
    assert backend._process is not None
    os.kill(backend._process.child.pid, signal.SIGSTOP)

    assert (await say(backend, request("second")))[0] == wanted
    assert backend.status().restarts == 2


@pytest.mark.slow
async def test_counting_survives_the_process(backend: EngineBackend) -> None:
    n_tokens = await backend.count_tokens(TURNS)
    kill(backend)

    assert await backend.count_tokens(TURNS) == n_tokens


@pytest.mark.slow
async def test_a_bot_that_dies_leaves_no_engine_behind(backend: EngineBackend) -> None:
    assert backend._process is not None
    child = backend._process.child
    assert child.stdin is not None

    child.stdin.close()  # what the kernel does when the bot is killed

    await until(lambda: child.returncode is not None)


@pytest.mark.slow
async def test_a_closed_backend_is_stopped_and_says_so(tiny_folder: Path) -> None:
    one = EngineBackend("tiny", tiny_folder, SETTINGS, SystemClock())
    await one.start()
    assert one._process is not None
    child = one._process.child

    await one.aclose()
    await one.aclose()

    assert child.returncode == 0
    assert one.status().state == "stopped"
    with pytest.raises(BackendError, match="closed"):
        await say(one, request("late"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"\xff" * 40), "weights.safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "mamba"}'), "'mamba'"),
        (lambda folder: (folder / "config.json").unlink(), r"config\.json"),
    ],
    ids=["corrupt weights", "no tokenizer", "unknown architecture", "no config"],
)
async def test_a_model_that_cannot_be_loaded_is_one_line(
    spoil, line: str, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(tiny_folder, folder)
    spoil(folder)
    one = EngineBackend("spoilt", folder, SETTINGS, SystemClock())

    with pytest.raises(ModelError, match=line) as caught:
        await one.start()

    assert "\n" not in caught.value.line()
    await one.aclose()


@pytest.mark.slow
async def test_a_device_that_is_not_there_is_one_line(tiny_folder: Path) -> None:
    settings = SETTINGS.model_copy(update={"device": "cuda:7"})
    one = EngineBackend("tiny", tiny_folder, settings, SystemClock())

    with pytest.raises(ModelError, match="cuda:7"):
        await one.start()


async def test_a_mailbox_joins_what_was_not_fetched() -> None:
    box = Mailbox()
    box.put(Chunk("a", "one ", 1))
    box.put(Chunk("a", "two", 1, finish="stop", usage=Usage(3, 2)))

    assert await box.get() == Chunk("a", "one two", 2, finish="stop", usage=Usage(3, 2))


async def test_a_mailbox_gives_what_came_before_the_error() -> None:
    box = Mailbox()
    box.put(Chunk("a", "one", 1))
    box.put(BackendDied("gone"))

    assert (await box.get()).text == "one"
    for _ in range(2):
        with pytest.raises(BackendDied):
            await box.get()

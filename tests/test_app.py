"""The whole bot in this process: what starts it, what ends it, and that nothing stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from chat_parts import other_tasks
from pydantic import BaseModel
from structlog.testing import capture_logs

from botkit import app
from botkit.app import open_chat, run
from botkit.clock import SystemClock
from botkit.config import Settings, load_settings
from botkit.errors import (
    BotkitError,
    ConfigError,
    EnvironmentFailure,
    ModelError,
    PlatformError,
    StoreError,
    UnknownNameError,
)
from botkit.hookspecs import AdapterSpec, BackendSpec, ModelSource
from botkit.plugins import Plugins
from botkit.protocols import ChatService
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.lock import FileLock
from botkit.store.seal import Sealer
from botkit.testing.scripted import RecordingReply, ScriptedBackend
from botkit.types import ConversationKey, Limits, Message, Person

Started = Callable[[str], None]
Life = Callable[[ChatService, Started], Awaitable[None]]
ROOM = ConversationKey("fake", "bot", "room")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "ADAPTER_BACK_OFF_S", (0.0,))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def settings(data: Path, *overrides: str) -> Settings:
    return load_settings(data, overrides=["model=scripted", *overrides])


class FakeAdapter:
    """Lives one of *lives* after the other, the last of them again and again."""

    def __init__(self, name: str, *lives: Life) -> None:
        self.name, self._lives = name, list(lives)
        self.n_runs = self.n_ended = 0

    async def run(self, service: ChatService, started: Started) -> None:
        self.n_runs += 1
        life = self._lives.pop(0) if len(self._lives) > 1 else self._lives[0]
        try:
            await life(service, started)
        finally:
            self.n_ended += 1


async def serve(service: ChatService, started: Started) -> None:
    started("here")
    await asyncio.Event().wait()


def failing(error: BaseException, *, first_serves: bool = False) -> Life:
    async def fail(service: ChatService, started: Started) -> None:
        if first_serves:
            started("here")
        raise error

    return fail


def waiting_for(happened: asyncio.Event, then: BaseException | None = None) -> Life:
    async def wait(service: ChatService, started: Started) -> None:
        started("here")
        await happened.wait()
        if then is not None:
            raise then
        await asyncio.Event().wait()

    return wait


def parts(*adapters: FakeAdapter, backend: ScriptedBackend | None = None, **settings: type[Any]) -> Plugins:
    """Return plugins with the model ``scripted`` and *adapters*, all enabled."""
    served = backend or ScriptedBackend(SystemClock(), model="scripted")
    specs = {
        one.name: AdapterSpec(
            one.name,
            lambda _, one=one: one,  # type: ignore[misc]
            lambda _: True,
            (lambda form=settings[one.name]: form) if one.name in settings else None,  # type: ignore[misc]
        )
        for one in adapters
    }
    return Plugins(backends={"scripted": BackendSpec("scripted", lambda _: served)}, adapters=specs)


class Bot:
    """A bot that runs in a task."""

    def __init__(self, chosen: Settings, plugins: Plugins, only: Sequence[str] | None) -> None:
        self.announced: dict[str, str] = {}
        self.stop = asyncio.Event()
        self._news = asyncio.Event()
        self.task = asyncio.create_task(run(chosen, plugins, self._announce, self.stop, only=only))

    def _announce(self, part: str, line: str) -> None:
        self.announced[part] = line
        self._news.set()

    async def until(self, *wanted: str) -> None:
        """Wait until these parts are ready; fails with the bot's error if it ends before."""
        while not self.announced.keys() >= set(wanted):
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            await asyncio.wait({news, self.task}, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            if self.task.done():
                await self.task
                raise AssertionError("it ended")


@asynccontextmanager
async def running(
    chosen: Settings, plugins: Plugins, only: Sequence[str] | None = None
) -> AsyncIterator[Bot]:
    """Give a bot; stop it in the end, and see that it leaves nothing behind."""
    bot = Bot(chosen, plugins, only)
    try:
        yield bot
    finally:
        bot.stop.set()
        await bot.task
    assert_closed(chosen)


def assert_closed(chosen: Settings) -> None:
    assert other_tasks() == set()
    if chosen.data_dir.is_dir():
        lock = FileLock(chosen.data_dir / "botkit.db")
        assert not lock.was_unclean
        lock.release()


async def refusal(chosen: Settings, plugins: Plugins, only: Sequence[str] | None = None) -> BotkitError:
    """Return the error that the bot does not start with."""
    with pytest.raises(BotkitError) as raised:
        await run(chosen, plugins, lambda part, line: None, asyncio.Event(), only=only)
    assert other_tasks() == set()
    return raised.value


def message(text: str = "hello", event_id: str = "1") -> Message:
    return Message(event_id, ROOM, Person("fake", "anna"), text, datetime(2026, 1, 1, tzinfo=UTC))


async def test_adapters_and_the_model_are_announced_and_all_is_closed(data: Path) -> None:
    one, other = FakeAdapter("one", serve), FakeAdapter("other", serve)
    backend = ScriptedBackend(SystemClock(), model="scripted")

    async with running(settings(data), parts(one, other, backend=backend)) as bot:
        await bot.until("adapter one", "adapter other", "model scripted")
        assert bot.announced["adapter one"] == "here"

    assert (one.n_runs, one.n_ended, other.n_ended) == (1, 1, 1)
    assert (backend.n_starts, backend.closed) == (1, True)


async def test_only_the_adapters_that_are_named_run(data: Path) -> None:
    one, other = FakeAdapter("one", serve), FakeAdapter("other", serve)

    async with running(settings(data), parts(one, other), only=("other",)) as bot:
        await bot.until("adapter other")

    assert (one.n_runs, other.n_runs) == (0, 1)


@pytest.mark.parametrize("error", [ConfigError("a key is missing"), EnvironmentFailure("port taken")])
async def test_an_adapter_that_cannot_begin_as_the_machine_is_ends_the_bot(
    data: Path, error: BotkitError
) -> None:
    other = FakeAdapter("other", serve)
    plugins = parts(FakeAdapter("one", failing(error)), other)

    assert await refusal(settings(data), plugins) is error

    assert other.n_runs == other.n_ended
    assert_closed(settings(data))


@pytest.mark.parametrize(
    ("error", "first_serves"),
    [
        (ZeroDivisionError("oops"), False),
        (PlatformError("the platform is away"), False),
        (PlatformError("the platform is away"), True),
        (EnvironmentFailure("port lost"), True),
        (ConfigError("token revoked"), True),
        (ExceptionGroup("many", [ValueError("a")]), True),
        (asyncio.CancelledError(), True),
    ],
)
async def test_an_adapter_that_fails_is_run_again_and_the_others_live(
    data: Path, error: BaseException, first_serves: bool
) -> None:
    one = FakeAdapter("one", failing(error, first_serves=first_serves), serve)
    other = FakeAdapter("other", serve)

    async with running(settings(data), parts(one, other)) as bot:
        await bot.until("adapter one", "adapter other")
        while one.n_runs < 2:
            await asyncio.sleep(0)
        assert (other.n_runs, other.n_ended) == (1, 0)


async def test_an_adapter_that_simply_returns_is_run_again(data: Path) -> None:
    async def leave(service: ChatService, started: Started) -> None:
        pass

    one = FakeAdapter("one", leave, serve)

    async with running(settings(data), parts(one)) as bot:
        await bot.until("adapter one")

    assert one.n_runs == 2


async def test_what_does_not_serve_is_not_ready(data: Path) -> None:
    fail, seen = asyncio.Event(), asyncio.Queue[dict[str, str]]()

    async def watch(service: ChatService, started: Started) -> None:
        started("here")
        seen.put_nowait(await service.ready())
        fail.set()
        while "oops" not in (await service.ready()).get("adapter failing", ""):
            await asyncio.sleep(0)
        seen.put_nowait(await service.ready())
        await asyncio.Event().wait()

    async def never(service: ChatService, started: Started) -> None:
        await asyncio.Event().wait()

    adapters = (
        FakeAdapter("failing", waiting_for(fail, ZeroDivisionError("oops")), never),
        FakeAdapter("silent", never),
        FakeAdapter("watching", watch),
    )
    async with running(settings(data), parts(*adapters)) as bot:
        await bot.until("adapter failing", "model scripted")
        first, second = await seen.get(), await seen.get()

    assert first["adapter silent"] == "starting"
    assert "adapter watching" not in first
    assert second == {"adapter silent": "starting", "adapter failing": "ZeroDivisionError('oops')"}


async def test_what_an_earlier_process_left_open_is_answered(data: Path) -> None:
    await leave_open(data, "0", "1", "2")
    answered = asyncio.Event()

    async def look(service: ChatService, started: Started) -> None:
        started("here")
        while len(getattr(await service.conversation(ROOM), "turns", ())) < 6:
            await asyncio.sleep(0)
        answered.set()
        await asyncio.Event().wait()

    async with running(settings(data), parts(FakeAdapter(ROOM.platform, look))):
        await answered.wait()

    async with open_chat(settings(data), parts()) as chat:
        assert await chat.open_messages({ROOM.platform}) == []
        conversation = await chat.conversation(ROOM)
    assert conversation is not None
    assert sorted(turn.text for turn in conversation.turns) == sorted(
        f"hello {number}" for number in (0, 0, 1, 1, 2, 2)
    )


async def leave_open(data: Path, *event_ids: str) -> None:
    """Leave messages behind as a killed process would."""
    async with open_chat(settings(data), parts()):
        pass
    database = await Database.open(f"sqlite:///{data / 'botkit.db'}")
    store = ConversationStore(database, Sealer.open(data, {}), SystemClock())
    for event_id in event_ids:
        await store.append(message(f"hello {event_id}", event_id=event_id))
    await database.aclose()


async def test_open_messages_of_a_platform_that_does_not_run_stay_open(data: Path) -> None:
    await leave_open(data, "1")

    async with running(settings(data), parts(FakeAdapter("elsewhere", serve))):
        await asyncio.sleep(0)

    async with open_chat(settings(data), parts()) as chat:
        (left,) = await chat.open_messages({ROOM.platform})
    assert left.attempt == 2


async def test_an_adapter_shows_what_an_earlier_process_left_open(data: Path) -> None:
    await leave_open(data, "1")
    replies: list[RecordingReply] = []

    class ResumingAdapter(FakeAdapter):
        def reply(self, one: Message, receipts: Sequence[str]) -> RecordingReply:
            assert receipts == ()
            replies.append(RecordingReply(SystemClock(), Limits(lasting=True)))
            return replies[-1]

    async def until_shown(service: ChatService, started: Started) -> None:
        started("here")
        while not replies or not replies[0].final:
            await asyncio.sleep(0)
        shown.set()
        await asyncio.Event().wait()

    shown = asyncio.Event()
    async with running(settings(data), parts(ResumingAdapter(ROOM.platform, until_shown))):
        await shown.wait()

    assert replies[0].text == "hello 1"


async def test_a_running_answer_is_finished_before_the_end(data: Path) -> None:
    backend = ScriptedBackend(SystemClock(), model="scripted")
    backend.gate.clear()
    outcomes: list[str | None] = []

    async def talk(service: ChatService, started: Started) -> None:
        reply = RecordingReply(service.clock)
        answering = asyncio.create_task(service.receive(message(), reply))
        while not backend.running:
            await asyncio.sleep(0)
        started("here")
        outcomes.append(await answering)
        await asyncio.Event().wait()

    async with running(settings(data), parts(FakeAdapter("talking", talk), backend=backend)) as bot:
        await bot.until("adapter talking")
        bot.stop.set()
        backend.gate.set()

    assert outcomes == ["answered"]


async def test_an_answer_that_takes_too_long_is_stopped_at_the_end(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "DRAIN_S", 0.01)
    backend = ScriptedBackend(SystemClock(), model="scripted")
    backend.gate.clear()
    outcomes: list[str | None] = []

    async def talk(service: ChatService, started: Started) -> None:
        answering = asyncio.create_task(service.receive(message(), RecordingReply(service.clock)))
        while not backend.running:
            await asyncio.sleep(0)
        started("here")
        outcomes.append(await answering)
        await asyncio.Event().wait()

    async with running(settings(data), parts(FakeAdapter("talking", talk), backend=backend)) as bot:
        await bot.until("adapter talking")

    assert outcomes == ["cancelled"]


async def test_it_can_be_stopped_while_the_model_loads(data: Path) -> None:
    class Loading(ScriptedBackend):
        async def start(self) -> None:
            await asyncio.Event().wait()

    backend = Loading(SystemClock(), model="scripted")

    async with running(settings(data), parts(FakeAdapter("one", serve), backend=backend)) as bot:
        await bot.until("adapter one")

    assert "model scripted" not in bot.announced
    assert backend.closed


async def test_a_model_that_cannot_be_loaded_ends_the_bot(data: Path) -> None:
    backend = ScriptedBackend(SystemClock(), model="scripted")
    backend.start_error = ModelError("the weights are truncated")

    assert await refusal(settings(data), parts(FakeAdapter("one", serve), backend=backend)) is (
        backend.start_error
    )
    assert_closed(settings(data))


async def test_a_model_that_is_not_there_says_how_to_bring_it(data: Path) -> None:
    plugins = parts(FakeAdapter("one", serve))
    plugins.models["big"] = ModelSource("big", lambda into, progress: into)

    error = await refusal(settings(data, "model=big"), plugins)

    assert isinstance(error, UnknownNameError)
    assert error.line() == "unknown model 'big' (bring it with: botkit models pull big)"
    assert not data.exists()
    assert (await refusal(settings(data, "model=scrapted"), plugins)).hint == "did you mean 'scripted'?"
    assert (await refusal(settings(data, "model=bigg"), plugins)).hint == "did you mean 'big'?"


async def test_a_broken_plugin_is_only_a_report(data: Path) -> None:
    broken = Plugins.load(points=[EntryPoint("gone", "there_is_no_such_module", "botkit")])
    plugins = parts(FakeAdapter("one", serve))
    plugins._reports = broken._reports

    with capture_logs() as logs:
        async with running(settings(data), plugins) as bot:
            await bot.until("adapter one", "model scripted")

    (report,) = [entry for entry in logs if entry["event"] == "plugin_left_out"]
    assert report["plugin"] == "gone"
    assert "there_is_no_such_module" in report["error"]


async def test_an_adapter_that_nobody_brings_is_misuse(data: Path) -> None:
    error = await refusal(settings(data, "adapters.telegarm.token=x"), parts(FakeAdapter("telegram", serve)))

    assert isinstance(error, ConfigError)
    assert error.line() == "unknown adapter 'telegarm' in the settings (did you mean 'telegram'?)"


@pytest.mark.parametrize(
    ("overrides", "runs"),
    [
        ([], False),
        (["adapters.one.token=x"], True),
        (["adapters.one.token=x", "adapters.one.enabled=false"], False),
        (["adapters.one.enabled=True"], True),
        (["adapters.one.enabled=0"], False),
    ],
)
def test_a_section_turns_its_adapter_on_unless_it_says_otherwise(
    data: Path, overrides: list[str], runs: bool
) -> None:
    spec = AdapterSpec("one", create=lambda _: FakeAdapter("one", serve))

    assert app._is_enabled(spec, settings(data, *overrides)) is runs


class Table(BaseModel, extra="forbid"):
    enabled: bool = True
    token: str


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["adapters.one.enabled=true"], "adapters.one.token: field required"),
        (["adapters.one.token=x", "adapters.one.enabled=secret"], "adapters.one.enabled: input should be"),
        (["adapters.one.token=x", "adapters.one.tokne=secret"], "adapters.one.tokne: extra inputs"),
    ],
)
async def test_the_settings_of_an_adapter_are_checked_before_anything_starts(
    data: Path, overrides: list[str], line: str
) -> None:
    plugins = parts(FakeAdapter("one", serve), one=Table)

    error = await refusal(settings(data, *overrides), plugins)

    assert isinstance(error, ConfigError)
    assert error.line().startswith(line)
    assert "secret" not in error.line()
    assert not data.exists()


@pytest.mark.parametrize(("names", "only"), [((), None), (("one",), ("web",))])
async def test_nothing_to_run_is_said(data: Path, names: Sequence[str], only: Sequence[str] | None) -> None:
    error = await refusal(settings(data), parts(*(FakeAdapter(name, serve) for name in names)), only)

    assert isinstance(error, ConfigError)
    assert str(error).startswith("there is nothing to run: ")


async def test_a_data_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for data in (tmp_path / "file", tmp_path / "file" / "below"):
        error = await refusal(settings(data), parts(FakeAdapter("one", serve)))
        assert isinstance(error, EnvironmentFailure)
        assert str(data) in str(error)
        assert "--data" in error.hint


async def test_a_damaged_database_is_said_and_nothing_stays_locked(data: Path) -> None:
    data.mkdir()
    (data / "botkit.db").write_bytes(b"this is no database" * 100)

    error = await refusal(settings(data), parts(FakeAdapter("one", serve)))

    assert isinstance(error, StoreError)
    FileLock(data / "botkit.db").release()


async def test_two_bots_cannot_share_a_database(data: Path) -> None:
    async with running(settings(data), parts(FakeAdapter("one", serve))) as bot:
        await bot.until("adapter one")
        with pytest.raises(StoreError, match="is in use by process"):
            await run(
                settings(data), parts(FakeAdapter("one", serve)), lambda part, line: None, asyncio.Event()
            )

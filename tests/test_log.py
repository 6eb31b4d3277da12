"""What is logged, how it looks, and what never is."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from botkit import log
from botkit.errors import BackendError, UnknownNameError

DISCORD = "MTA1NzQ0ODQ2NDE1ODg2NzQ1Ng.GxYz12.abcdefghijklmnopqrstuvwxyz0123456789AB"
TELEGRAM = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
CANARY = "pelargonium"

SECRET_LINES = {
    "discord token": f"logging in with {DISCORD} now",
    "telegram token": f"token {TELEGRAM} was refused",
    "telegram token in a URL": f"GET https://api.telegram.org/bot{TELEGRAM}/getUpdates failed",
    "telegram token in a quoted URL": f"bot{TELEGRAM.replace(':', '%3A')}/getMe",
    "bearer": "Authorization: Bearer abcdef0123456789",
    "bearer alone": "sent bearer abcdef0123456789",
    "basic": "authorization: Basic dXNlcjpwYXNzd29yZA==",
    "header pair": "[(b'Authorization', b'Bot abcdef0123456789')]",
    "header mapping": "{'x-api-key': 'abcdef0123456789'}",
    "openai key": "key sk-abcdef0123456789abcdef was refused",
    "hugging face key": "using hf_abcdef0123456789abcdef",
    "json web token": "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4fw",
    "database url": "postgresql+psycopg://botkit:abcdef0123@db.example/botkit",
    "connection string": "host=db user=botkit password=abcdef0123456789",
    "query": "GET /v1/models?api_key=abcdef0123456789&page=2",
}
REMAINS = re.compile(r"abcdef0123|AAHdqTcv|G[xX]Yz12|dXNlcjpw|eyJhbGci|SflKxwRJ")

HARMLESS = [
    "GET http://127.0.0.1:8080/v1/models answered 200",
    "backend 'smollm2-135m-instruct' started in 1.25 s",
    "the prompt has 1024 tokens, 12 cached",
    "task-forces of the desk-bound, at 12:30:45",
    "/home/anna/.local/share/botkit/botkit.db",
]


@pytest.fixture(autouse=True)
def _leave_no_trace() -> Iterator[None]:
    yield
    log.reset()


class Written:
    """All that was written to standard error so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys, self._text = capsys, ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    return Written(capsys)


def test_an_event_is_one_json_line_with_its_fields(written: Written) -> None:
    log.configure("info", "json")

    structlog.get_logger("botkit.chat").info("message_settled", id="a1", seconds=0.5, n=3, ok=True, none=None)

    (line,) = written.events()
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "event": "message_settled", "level": "info", "logger": "botkit.chat",
        "id": "a1", "seconds": 0.5, "n": 3, "ok": True, "none": None,
    }  # fmt: skip


def test_the_standard_library_goes_through_the_same_chain(written: Written) -> None:
    log.configure("info", "json")

    logging.getLogger("somebody.else").warning("port %d is %s", 80, "taken")

    (line,) = written.events()
    assert (line["event"], line["level"], line["logger"]) == ("port 80 is taken", "warning", "somebody.else")


def test_context_variables_are_fields(written: Written) -> None:
    log.configure("info", "json")

    with structlog.contextvars.bound_contextvars(adapter="web"):
        logging.getLogger("somebody.else").warning("odd")

    assert written.events()[0]["adapter"] == "web"


@pytest.mark.parametrize(("level", "events"), [("debug", "diwe"), ("warning", "we"), ("ERROR", "e")])
def test_the_level_is_the_lowest_that_is_written(written: Written, level: str, events: str) -> None:
    log.configure(level, "json")

    for logger in (structlog.get_logger("botkit"), logging.getLogger("somebody.else")):
        for name in ("debug", "info", "warning", "error"):
            getattr(logger, name)(name[0])

    assert "".join(line["event"] for line in written.events()) == events * 2


def test_an_unknown_level_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown log level 'inof'") as caught:
        log.configure("inof")

    assert "'info'" in caught.value.hint


def test_libraries_that_tell_of_every_request_are_heard_from_warning_on(written: Written) -> None:
    log.configure("info", "json")

    logging.getLogger("httpx").info("HTTP Request: GET /")
    logging.getLogger("uvicorn.access").info("127.0.0.1 GET /")
    logging.getLogger("uvicorn.error").warning("slow")

    assert [line["event"] for line in written.events()] == ["slow"]


def test_a_server_that_set_up_its_own_handlers_is_heard_once(written: Written) -> None:
    own = io.StringIO()
    server = logging.getLogger("uvicorn.error")
    server.addHandler(logging.StreamHandler(own))
    server.propagate = False

    log.configure("debug", "json")
    server.info("started")

    assert own.getvalue() == ""
    assert [line["event"] for line in written.events()] == ["started"]


def test_configuring_twice_writes_each_event_once(written: Written) -> None:
    module_logger = structlog.get_logger("botkit")
    log.configure("error", "text")
    module_logger.info("lost")
    log.configure("info", "json")

    module_logger.info("told")

    assert [line["event"] for line in written.events()] == ["told"]


def test_reset_takes_everything_back(written: Written) -> None:
    before = list(logging.getLogger().handlers)
    log.configure("debug", "json")
    log.reset()

    assert logging.getLogger().handlers == before
    assert not structlog.is_configured()


def test_nothing_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("text", "json"):
        log.configure("info", form)  # type: ignore[arg-type]
        structlog.get_logger("botkit").error("told")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("told") == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_is_coloured_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    log.configure("info")

    structlog.get_logger("botkit").info("told", n=1)

    assert "\x1b[" in terminal.getvalue()
    assert "told" in terminal.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    log.configure("info")

    structlog.get_logger("botkit").info("told", n=1)

    assert "\x1b[" not in terminal.getvalue()
    assert "n=1" in terminal.getvalue()


def test_auto_is_json_elsewhere(written: Written) -> None:
    log.configure("info")

    structlog.get_logger("botkit").info("told")

    assert written.events()[0]["event"] == "told"


@pytest.mark.parametrize("line", SECRET_LINES.values(), ids=SECRET_LINES.keys())
def test_what_looks_like_a_secret_is_masked(line: str) -> None:
    masked = log.Redactor().text(line)

    assert log.MASK in masked
    assert REMAINS.search(masked) is None


@pytest.mark.parametrize("line", HARMLESS)
def test_what_is_no_secret_stays(line: str) -> None:
    assert log.Redactor().text(line) == line


@pytest.mark.parametrize(
    "shown", ["it's a {}", "https://h/?k={}", "[{!r}]"], ids=["plain", "in a URL", "in a repr"]
)
def test_given_values_are_masked_wherever_they_stand(shown: str) -> None:
    secret = "p\u00e4ss'wort \\ 1"
    from urllib.parse import quote

    line = shown.format(quote(secret, safe="") if "?" in shown else secret)

    assert "wort" not in log.Redactor([secret]).text(line)


def test_the_longest_secret_is_masked_first() -> None:
    assert log.Redactor(["abcd", "abcd-efgh", "", "x"]).text("abcd-efgh x") == f"{log.MASK} x"


def test_a_megabyte_is_searched_in_little_time() -> None:
    redactor = log.Redactor(["given-secret"])
    for piece in ("a", "1", "M", "eyJ", "sk-", "a.", "token", "://", "Bearer ", "password= "):
        began_s = time.perf_counter()
        redactor.text(piece * (1_000_000 // len(piece)))
        assert time.perf_counter() - began_s < 5, piece


class Opaque:
    def __repr__(self) -> str:
        return "<key sk-abcdef0123456789abcdef>"


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_masked_in_events_fields_and_tracebacks(written: Written, form: Any) -> None:
    log.configure("info", form, ["given-secret"])
    logger = structlog.get_logger("botkit")
    every = " ".join(SECRET_LINES.values())

    logger.info(f"given-secret {every}")
    logger.info("told", text=every, nested={"deep": [every, ("given-secret", b"given-secret")]}, it=Opaque())
    logger.info("told", path=Path("given-secret"), kinds={"given-secret"}, token="short", api_key=b"short")
    logging.getLogger("somebody.else").warning("%s and %r", every, {"a": "given-secret"})
    try:
        raise BackendError(f"given-secret {every}")
    except BackendError:
        logger.exception("failed")
        logging.getLogger("somebody.else").exception("given-secret")

    shown = written.getvalue()
    assert "Traceback" in shown
    assert "given-secret" not in shown.replace('"given-secret {every}"', "").replace('("given-secret")', "")
    assert REMAINS.search(shown) is None
    assert "short" not in shown


def test_numbers_are_never_taken_for_secrets() -> None:
    assert log.Redactor()(None, "info", {"token": 17, "secret": None}) == {"token": 17, "secret": None}


def test_text_stays_on_its_line_and_moves_no_cursor(written: Written) -> None:
    log.configure("info", "text")

    structlog.get_logger("botkit").info("told\n[fake] event\x1b[2J", name="a\x1b]0;b\x07", other="x\ny")

    assert written.getvalue().count("\n") == 1
    assert "\x1b" not in written.getvalue()
    assert "\x07" not in written.getvalue()


def test_odd_characters_are_written_all_the_same(written: Written) -> None:
    log.configure("info", "json")

    structlog.get_logger("botkit").info("told", name="\ud800", bytes=b"\xff")

    assert len(written.events()) == 1


def test_a_line_that_cannot_be_written_is_named_and_not_shown(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError("given-secret")

    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own would raise
    log.configure("info", "json", ["given-secret"])

    structlog.get_logger("botkit.chat").info("told", it=Broken())

    assert written.getvalue() == "botkit: a log line of 'botkit.chat' could not be written: ValueError\n"


def test_python_warnings_are_events(written: Written) -> None:
    log.configure("info", "json", ["given-secret"])

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # catch_warnings has put the plain writer back
        warnings.warn("old given-secret", UserWarning, stacklevel=1)

    (line,) = written.events()
    assert line["logger"] == "py.warnings"
    assert "given-secret" not in line["event"].replace('warnings.warn("old given-secret"', "")


@dataclass
class Exchanges:
    """The whole chat core on a real store, with a backend that says what it is told."""

    folder: Path

    async def run(self, *texts: str, error: BaseException | None = None) -> list[str]:
        from botkit.chat.filters import FilterChain
        from botkit.chat.pipeline import Pipeline
        from botkit.chat.queue import GenerationQueue  # noqa: F401 - part of what is watched
        from botkit.chat.router import ModelRouter
        from botkit.clock import SystemClock
        from botkit.config import load_settings
        from botkit.store.conversations import ConversationStore
        from botkit.store.database import Database
        from botkit.store.seal import Sealer
        from botkit.testing.scripted import RecordingReply, ScriptedBackend
        from botkit.types import ConversationKey, Message, Person

        clock, settings = SystemClock(), load_settings(self.folder)
        backend = ScriptedBackend(clock, model=settings.model)
        router = ModelRouter(
            lambda name: backend, settings.model, lambda: [settings.model], clock, settings.queue
        )
        database = await Database.open(f"sqlite:///{self.folder / 'botkit.db'}")
        store = ConversationStore(database, Sealer.open(self.folder, {}), clock)
        pipeline = Pipeline(
            settings=settings, store=store, router=router, filters=FilterChain([]), clock=clock
        )
        message = Message(
            "e", ConversationKey("web", "bot", "1"), Person("web", "1", CANARY), "", datetime.now(UTC)
        )
        shown = []
        try:
            for n, text in enumerate(texts):
                if error is not None:
                    backend.fail_after(1, error)
                reply = RecordingReply(clock)
                await pipeline.receive(replace(message, event_id=f"e{n}", text=text), reply)
                shown.append(reply.text)
        finally:
            await router.aclose()
            await database.aclose()
        return shown


@pytest.fixture
def exchanges(tmp_path: Path) -> Exchanges:
    return Exchanges(tmp_path)


async def test_a_whole_exchange_logs_no_message_text_at_info(written: Written, exchanges: Exchanges) -> None:
    log.configure("info", "json")

    shown = await exchanges.run(f"what is a {CANARY}?", "/regenerate", f"/reset {CANARY}", "/help")

    assert f"{CANARY}?" in shown[0]
    assert [line["event"] for line in written.events()].count("message_settled") >= 4
    assert CANARY not in written.getvalue()


@pytest.mark.parametrize("error", [BackendError("gone"), RuntimeError("unforeseen")], ids=repr)
async def test_an_exchange_that_fails_logs_no_message_text_at_info(
    written: Written, exchanges: Exchanges, error: BaseException
) -> None:
    log.configure("info", "json")

    await exchanges.run(f"what is a {CANARY}?", error=error)

    failed = [line for line in written.events() if line["event"] == "exchange_failed"]
    assert [str(error) in line["error"] for line in failed] == [True]
    assert CANARY not in written.getvalue()


@pytest.mark.parametrize("text", [f"/model {CANARY}", f"/{CANARY}"])
async def test_a_mistyped_command_logs_no_message_text_at_info(
    written: Written, exchanges: Exchanges, text: str
) -> None:
    log.configure("info", "json")

    (shown,) = await exchanges.run(text)

    assert CANARY in shown
    assert CANARY not in written.getvalue()

"""What botkit says while it runs: events with fields, on standard error, as text or as JSON lines.

``structlog`` and the standard library's ``logging`` (uvicorn, SQLAlchemy, the platform libraries) end in one
handler, where the redactor is the last to touch an event before it is written.  One rule it cannot keep for
its callers: what people write is logged at DEBUG only.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Literal, TextIO
from urllib.parse import quote

import structlog

from botkit.errors import UnknownNameError

LEVELS = ("debug", "info", "warning", "error", "critical")
MASK = "[redacted]"
MIN_SECRET_CHARACTERS = 4

# These tell of every request at INFO; what botkit does itself is told by its own events.
_TALKATIVE = (
    "alembic",
    "uvicorn",
    "httpx",
    "httpcore",
    "nicegui",
    "discord",
    "telegram",
    "engineio",
    "socketio",
)

# uvicorn gives these handlers of their own unless it is told not to.
_SEPARATE = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

_SENSITIVE = (
    r"(?<![a-z])(?:(?:api|secret|access)[_-]?(?:key|token)|token|secret|password|passwd"
    r"|(?:proxy-)?authorization)"
)
_SENSITIVE_NAME = re.compile(rf"{_SENSITIVE}\Z", re.IGNORECASE)
# Between a name and its value: of headers, query and connection strings, mappings, lists of pairs.
_GIVES = r"(?:['\"]?\s{0,3}[:=]\s{0,3}(?:b?['\"])?|['\"]\s{0,3},\s{0,3}b?['\"])"

# Every repetition before the part that decides is bounded, so that a megabyte costs a megabyte's time.
_PATTERNS = (
    # Discord: the bot's id in base64, which begins with M, N or O, a time, and a signature.
    (re.compile(r"(?<![\w-])[MNO][\w-]{22,27}\.[\w-]{6,7}\.[\w-]{27,45}(?![\w-])"), MASK),
    # Telegram: in URLs it follows "/bot" without a break.
    (re.compile(r"(?<!\d)\d{6,12}(?::|%3A)[\w-]{30,64}", re.IGNORECASE), MASK),
    (re.compile(r"(?<![\w-])(?:sk-|hf_|gh[pousr]_)[\w-]{16,}"), MASK),
    # JSON Web Tokens.
    (re.compile(r"(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}"), MASK),
    # scheme://user:password@host
    (
        re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@'\"]{0,200}:)[^\s/'\"]{1,500}@", re.IGNORECASE),
        rf"\1{MASK}@",
    ),
    (re.compile(r"(\bBearer\s{1,9})[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(
            rf"({_SENSITIVE}{_GIVES}(?:(?:bearer|basic|bot)\s{{1,9}})?)(?!\[redacted\])[^\s'\",;&)}}\]]{{4,}}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Redactor:
    """Masks secrets in whatever is logged: the values it was given, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know *secrets* by value, also as a URL or a ``repr`` would write them.

        Those with fewer than 4 characters are left alone: they would mask half of every line.
        """
        long_enough = [secret for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS]
        forms = {form for one in long_enough for form in (one, quote(one, safe=""), repr(one)[1:-1])}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._values = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        """Return *event* with all its fields redacted, as a processor of structlog."""
        return {name: self._field(name, value) for name, value in event.items()}

    def text(self, text: str) -> str:
        """Return *text* with what is secret in it masked."""
        if self._values is not None:
            text = self._values.sub(MASK, text)
        for pattern, mask in _PATTERNS:
            text = pattern.sub(mask, text)
        return text

    def _field(self, name: object, value: Any) -> Any:
        # Numbers stay: a field "token" may count them, or name one of a vocabulary.
        is_plain = not value or isinstance(value, int | float)
        return MASK if not is_plain and _SENSITIVE_NAME.search(str(name)) else self._value(value)

    def _value(self, value: Any) -> Any:
        """Return *value* as plain data: what a renderer would turn into text later is text now."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self._field(name, item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        return self.text(str(value) if isinstance(value, os.PathLike) else repr(value))


class _StderrHandler(logging.Handler):
    """Writes to whatever ``sys.stderr`` is at the moment: a progress bar or a test may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except (OSError, ValueError, TypeError, RecursionError):
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say that a line was lost, and not what was in it: it has not been redacted."""
        kind = getattr(sys.exc_info()[0], "__name__", "error")
        try:
            sys.stderr.write(f"botkit: a log line of '{record.name}' could not be written: {kind}\n")
        except (OSError, ValueError):
            return  # standard error itself is gone


def configure(
    level: str,
    format: Literal["auto", "text", "json"] = "auto",  # noqa: A002 - the setting's name
    secrets: Iterable[str] = (),
) -> None:
    """Send the events of *level* and above to standard error, from structlog and ``logging`` alike.

    *format* ``auto`` is text on a terminal and JSON lines elsewhere.  *secrets* are masked wherever they
    appear.  A second call replaces the first.  Raises UnknownNameError for a level that does not exist.
    """
    if level.lower() not in LEVELS:
        raise UnknownNameError("log level", level, LEVELS)
    number = logging.getLevelNamesMapping()[level.upper()]
    as_text = format == "text" or (format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # Text already here: a renderer that formats exceptions itself would do so after the redactor.
        structlog.processors.format_exc_info,
    ]
    _send_to(_handler(shared, Redactor(secrets), as_text), number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Loggers live at the top of modules; caching would keep them from a second configuration.
        cache_logger_on_first_use=False,
    )


def reset() -> None:
    """Take back what ``configure`` did."""
    logging.captureWarnings(False)
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _StderrHandler)]:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def _handler(shared: list[Any], redactor: Redactor, as_text: bool) -> logging.Handler:
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([_escape_controls] if as_text else []),
                redactor,
                _text_renderer(sys.stderr) if as_text else structlog.processors.JSONRenderer(sort_keys=True),
            ],
        )
    )
    return handler


def _text_renderer(stream: TextIO) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty() and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
    )


def _escape_controls(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep what others send from moving a terminal's cursor or beginning a line that looks like ours."""
    for name, value in event.items():
        if isinstance(value, str):
            escaped = _CONTROL.sub(lambda match: repr(match[0])[1:-1], value.rstrip())
            event[name] = escaped.replace("\n", "\\n") if name == "event" else escaped
    return event


def _send_to(handler: logging.Handler, level: int) -> None:
    reset()
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in _SEPARATE:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    if level > logging.DEBUG:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(max(level, logging.WARNING))

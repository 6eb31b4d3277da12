"""What the bot and an engine process say to each other: JSON, one line a message.

To the engine: ``Generate``, ``Cancel``, ``Count``.  From it: ``Ready`` or ``Refused``, then ``Stepped`` (all
that came of one step) and ``Counted``.  JSON carries any text, lone surrogates included, and runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from botkit import errors
from botkit.errors import BackendError, BotkitError
from botkit.types import Chunk, GenerationRequest, PromptTurn, Sampling, TokenLogprob, Usage


@dataclass(frozen=True, slots=True)
class Generate:
    """Work on a request."""

    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class Cancel:
    """Drop a request; it may be unknown or finished already."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Count:
    """Count the tokens of a prompt."""

    number: int
    turns: tuple[PromptTurn, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""

    context_tokens: int
    slots: int
    device: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The model cannot be loaded; the process ends."""

    error: BotkitError


@dataclass(frozen=True, slots=True)
class Failed:
    """A request ended without a finish."""

    request_id: str
    error: BotkitError


@dataclass(frozen=True, slots=True)
class Stepped:
    """What came of one step; empty while prompts are being read: a sign of life."""

    events: tuple[Chunk | Failed, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """The answer to ``Count`` of that number: the tokens, or why they cannot be counted."""

    number: int
    n_tokens: int | BotkitError


Message = Generate | Cancel | Count | Ready | Refused | Stepped | Counted


def encode(message: Message) -> bytes:
    """Return *message* as one line."""
    return json.dumps([type(message).__name__, _plain(message)], separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message in *line*; raises BackendError for what is none."""
    try:
        kind, values = json.loads(line)
        message: Message = _READERS[kind](values)
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(f"an engine process said something that is no message: {error!r}") from None
    return message


def _plain(message: Message) -> Any:
    if isinstance(message, Refused):
        return _error_values(message.error)
    if isinstance(message, Stepped):
        return [_event_values(event) for event in message.events]
    if isinstance(message, Counted):
        counted = message.n_tokens
        return [message.number, _error_values(counted) if isinstance(counted, BotkitError) else counted]
    return asdict(message)


def _event_values(event: Chunk | Failed) -> Any:
    if isinstance(event, Failed):
        return {"id": event.request_id, "error": _error_values(event.error)}
    # Almost every line is this one, so what is at its default is left out.
    values: dict[str, Any] = {"id": event.request_id, "text": event.text, "n": event.n_tokens}
    if event.finish is not None:
        values["finish"] = event.finish
    if event.usage is not None:
        values["usage"] = asdict(event.usage)
    if event.logprobs:
        values["logprobs"] = [[one.token, one.logprob, one.top] for one in event.logprobs]
    return values


def _event(values: Mapping[str, Any]) -> Chunk | Failed:
    if "error" in values:
        return Failed(values["id"], _error(values["error"]))
    usage = values.get("usage")
    return Chunk(
        values["id"],
        text=values["text"],
        n_tokens=values["n"],
        finish=values.get("finish"),
        usage=Usage(**usage) if usage else None,
        logprobs=tuple(
            TokenLogprob(token, logprob, tuple((text, value) for text, value in top))
            for token, logprob, top in values.get("logprobs", ())
        ),
    )


def _request(values: Mapping[str, Any]) -> GenerationRequest:
    sampling = dict(values["sampling"])
    sampling["stop"] = tuple(sampling["stop"])
    rest = {**values, "turns": _turns(values["turns"]), "sampling": Sampling(**sampling)}
    return GenerationRequest(**rest)


def _turns(values: Any) -> tuple[PromptTurn, ...]:
    return tuple(PromptTurn(**turn) for turn in values)


def _error_values(error: BotkitError) -> dict[str, str]:
    return {"kind": type(error).__name__, "text": str(error), "hint": error.hint}


def _error(values: Mapping[str, str]) -> BotkitError:
    """Return the error, as the same class where it is one of ours that takes a text."""
    kind = getattr(errors, values["kind"], BackendError)
    if not issubclass(kind, BotkitError) or kind.__init__ is not BotkitError.__init__:
        kind = BackendError
    error: BotkitError = kind(values["text"], hint=values["hint"])
    return error


def _counted(values: Any) -> Counted:
    number, counted = values
    return Counted(number, _error(counted) if isinstance(counted, dict) else counted)


_READERS: dict[str, Any] = {
    "Generate": lambda values: Generate(_request(values["request"])),
    "Cancel": lambda values: Cancel(**values),
    "Count": lambda values: Count(values["number"], _turns(values["turns"])),
    "Ready": lambda values: Ready(**values),
    "Refused": lambda values: Refused(_error(values)),
    "Stepped": lambda values: Stepped(tuple(_event(one) for one in values)),
    "Counted": _counted,
}

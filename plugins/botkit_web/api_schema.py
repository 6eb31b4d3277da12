"""What clients may send: the two forms of a request, checked field by field.

Nothing is accepted and ignored.  A parameter of OpenAI's that we do not have is fine as long as it asks for
what happens anyway; everything else is turned down by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from botkit.config import SamplingSettings
from botkit.errors import UnknownNameError
from botkit.types import Sampling
from botkit_web.api_errors import ApiError

MAX_STOPS = 4
MAX_TOP_LOGPROBS = 20
INT64 = 2**63

HARMLESS: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "metadata": ({},),
}
"""Parameters that we do not have, with the values that change nothing."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(_Form):
    """How a stream is sent."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


def _stops(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Request(_Form):
    """What both forms have in common.  ``top_k`` to ``ignore_eos`` are named as other servers name them."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=-1)] = None
    min_p: Annotated[float | None, Field(ge=0, le=1)] = None
    repetition_penalty: Annotated[float | None, Field(gt=0, le=10)] = None
    ignore_eos: bool = False
    seed: Annotated[int | None, Field(ge=-INT64, lt=INT64)] = None
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1000)]],
        BeforeValidator(_stops),
        Field(max_length=MAX_STOPS),
    ] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=512)] = ""

    def wanted_logprobs(self) -> int | None:
        """Return how many alternatives to each token are wanted; None for no log-probabilities at all."""
        raise NotImplementedError

    def wanted_tokens(self) -> int | None:
        """Return the longest answer that is wanted, in tokens; None for as long as the settings say."""
        return self.max_tokens

    def sampling(self, default: SamplingSettings) -> Sampling:
        """Return what was asked for; where nothing was, *default* holds."""
        chosen = {
            "max_tokens": self.wanted_tokens(),
            "temperature": self.temperature,
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "top_p": self.top_p,
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "seed": self.seed,
        }
        values = default.model_dump() | {key: value for key, value in chosen.items() if value is not None}
        return Sampling(
            **values,
            stop=tuple(self.stop),
            logprobs=self.wanted_logprobs(),
            ignore_end=self.ignore_eos,
        )


def _joined(content: object) -> object:
    """Return a list of text parts as the one text it is; anything else is left for the check."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") not in ("text", "input_text"):
            raise ValueError("only parts of type 'text' can be read")
        if not isinstance(part.get("text"), str) or part.keys() - {"type", "text"}:
            raise ValueError("a part has a 'type' and a 'text', and nothing else")
        texts.append(part["text"])
    return "".join(texts)


class ChatTurn(_Form):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_joined)]


def _ends_with_words(messages: list[ChatTurn]) -> list[ChatTurn]:
    """Return *messages* if there is something in the last one to answer."""
    if not any(letter.isprintable() and not letter.isspace() for letter in messages[-1].content):
        raise ValueError("the last message is empty")
    return messages


class ChatRequest(Request):
    """The body of ``/v1/chat/completions``."""

    messages: Annotated[list[ChatTurn], Field(min_length=1), AfterValidator(_ends_with_words)]
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    logprobs: bool = False
    top_logprobs: Annotated[int | None, Field(ge=0, le=MAX_TOP_LOGPROBS)] = None

    def wanted_logprobs(self) -> int | None:
        """Return ``top_logprobs`` if ``logprobs`` is true; raises ApiError for the one without the other."""
        if self.top_logprobs is not None and not self.logprobs:
            raise ApiError("top_logprobs needs logprobs to be true", param="top_logprobs")
        return (self.top_logprobs or 0) if self.logprobs else None

    def wanted_tokens(self) -> int | None:
        """Return ``max_completion_tokens``, or ``max_tokens``, its older name."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


def _single(prompt: object) -> object:
    """Return the prompt of a list that holds just one text."""
    return prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt


class CompletionRequest(Request):
    """The body of ``/v1/completions``."""

    prompt: Annotated[str, BeforeValidator(_single)]
    logprobs: Annotated[int | None, Field(ge=0, le=MAX_TOP_LOGPROBS)] = None

    def wanted_logprobs(self) -> int | None:
        """Return ``logprobs``."""
        return self.logprobs


R = TypeVar("R", bound=Request)


def parse(form: type[R], body: bytes) -> R:
    """Return *body* as a *form*; raises ApiError, which names the first parameter that is off."""
    values = _without_nulls(_read_json(body))
    if not isinstance(values, dict):
        raise ApiError("the body must be a JSON object")
    for key in HARMLESS.keys() & values.keys() - form.model_fields.keys():
        if not any(_same(values[key], harmless) for harmless in HARMLESS[key]):
            raise ApiError(f"this value of '{key}' is not supported", param=key, code="unsupported_value")
        del values[key]
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise _first_problem(form, error) from None


def _read_json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ApiError(f"the body is not valid JSON: {error}", code="invalid_json") from None


def _without_nulls(value: Any) -> Any:
    """Return *value* without keys that are null, which means absent, and without lone surrogates."""
    if isinstance(value, str):
        return value if value.isascii() else _mended(value)
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    if isinstance(value, dict):
        return {_without_nulls(key): _without_nulls(one) for key, one in value.items() if one is not None}
    return value


def _mended(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _same(value: object, harmless: object) -> bool:
    return isinstance(value, bool) == isinstance(harmless, bool) and value == harmless


def _first_problem(form: type[Request], error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False)[0]
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        message = f"'{param}' is not supported"
        if len(first["loc"]) == 1:
            message = UnknownNameError("parameter", param, form.model_fields).line()
        return ApiError(message, param=param, code="unknown_parameter")
    reason = first["msg"].removeprefix("Value error, ")
    return ApiError(f"'{param}': {reason[0].lower()}{reason[1:]}", param=param, code="invalid_value")

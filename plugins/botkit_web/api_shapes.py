"""How answers look on the wire: the chat form and the completions form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botkit.types import TokenLogprob
from botkit_web.api_answer import Answer


@dataclass(frozen=True, slots=True)
class ChatShape:
    """The answers of ``/v1/chat/completions``.  ``created`` counts seconds since 1970."""

    id: str
    model: str
    created: int
    with_logprobs: bool = False

    def whole(self, answer: Answer, finish: str) -> dict[str, Any]:
        """Return the answer in one object."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        logprobs = self._logprobs(answer.logprobs)
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
        return self._object("chat.completion", [choice])

    def opening(self) -> dict[str, Any]:
        """Return the chunk that names the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        """Return a chunk of text."""
        return self._chunk({"content": text}, logprobs=self._logprobs(logprobs))

    def closing(self, finish: str) -> dict[str, Any]:
        """Return the chunk that tells how it ended."""
        return self._chunk({}, finish=finish)

    def cost(self) -> dict[str, Any]:
        """Return the object that carries the usage."""
        return self._object("chat.completion.chunk", [])

    def _chunk(
        self, delta: dict[str, Any], logprobs: Any = None, finish: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._object("chat.completion.chunk", [choice])

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self.with_logprobs:
            return None
        content = [
            _token(one.token, one.logprob)
            | {"top_logprobs": [_token(token, logprob) for token, logprob in one.top]}
            for one in tokens
        ]
        return {"content": content, "refusal": None}


@dataclass(slots=True)
class CompletionShape:
    """The answers of ``/v1/completions``.  Offsets count characters from the beginning of the answer."""

    id: str
    model: str
    created: int
    with_logprobs: bool = False
    _offset: int = 0

    def whole(self, answer: Answer, finish: str) -> dict[str, Any]:
        """Return the answer in one object."""
        return self._object(answer.text, self._logprobs(answer.logprobs), finish)

    def opening(self) -> None:
        """Begin with nothing: a completion has no role."""

    def piece(self, text: str, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        """Return a piece of text."""
        return self._object(text, self._logprobs(logprobs), None)

    def closing(self, finish: str) -> dict[str, Any]:
        """Return the piece that tells how it ended."""
        return self._object("", None, finish)

    def cost(self) -> dict[str, Any]:
        """Return the object that carries the usage."""
        return self._object("", None, None) | {"choices": []}

    def _object(self, text: str, logprobs: Any, finish: str | None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
        }

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self.with_logprobs:
            return None
        offsets = []
        for one in tokens:
            offsets.append(self._offset)
            self._offset += len(one.token)
        return {
            "tokens": [one.token for one in tokens],
            "token_logprobs": [one.logprob for one in tokens],
            "top_logprobs": [dict(one.top) for one in tokens],
            "text_offset": offsets,
        }


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}

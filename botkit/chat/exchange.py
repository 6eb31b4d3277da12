"""One message on its walk: what is known of it so far, and what outcome it has in the end."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from botkit.chat.reply import LiveReply
from botkit.errors import (
    BackendBusy,
    BackendError,
    BadRequestError,
    BotkitError,
    DeadlineExceeded,
    QueueFull,
    UnknownNameError,
)
from botkit.types import Chunk, Completion, Conversation, FinishReason, Message, Outcome, Usage

NOTHING_SAID = "I have nothing to say to that."
STOPPED = "Stopped."


def new_id() -> str:
    """Return a short id under which a person and the log mean the same exchange."""
    return secrets.token_hex(4)


@dataclass(slots=True)
class Exchange:
    """A stored message and the answer that grows for it.  Times are of the clock, in seconds."""

    message_id: int
    attempt: int
    message: Message
    conversation: Conversation
    live: LiveReply
    id: str = field(default_factory=new_id)
    model: str = ""
    text: str = ""
    n_tokens: int = 0
    finish: FinishReason | None = None
    usage: Usage | None = None
    submitted_s: float | None = None
    first_text_s: float | None = None
    interrupted: bool = False
    error: Exception | None = None

    def take(self, chunk: Chunk, now_s: float) -> bool:
        """Add *chunk* to the answer; tell whether it brought the first text."""
        self.text += chunk.text
        self.n_tokens += chunk.n_tokens
        self.finish = chunk.finish or self.finish
        self.usage = chunk.usage or self.usage
        is_first = bool(chunk.text) and self.first_text_s is None
        if is_first:
            self.first_text_s = now_s
        return is_first

    def check_finished(self) -> None:
        """Raise BackendError if the stream ended without its last chunk."""
        if self.finish is None:
            raise BackendError(f"model '{self.model}' ended its stream without a finish")

    @property
    def outcome(self) -> Outcome:
        """How it went."""
        if self.error is not None:
            return "refused" if is_refusal(self.error) and not self.text else "failed"
        return "cancelled" if self.interrupted else "answered"

    def final_text(self) -> str:
        """Return what the person is to see in the end: never blank, and what was written stays."""
        if self.error is not None:
            note = public_text(self.error, self.id)
            return f"{self.text}\n\n{note}" if self.text.strip() else note
        if self.text.strip():
            return self.text
        return STOPPED if self.interrupted else NOTHING_SAID

    def completion(self, now_s: float) -> Completion | None:
        """Return what the model made of it, or None if it was never asked."""
        if self.submitted_s is None:
            return None
        finish = "cancelled" if self.interrupted or self.finish is None else self.finish
        usage = self.usage or Usage(completion_tokens=self.n_tokens)
        first_s = self.first_text_s if self.first_text_s is not None else now_s
        return Completion(
            self.text, finish, self.model, usage, first_s - self.submitted_s, now_s - self.submitted_s
        )


def is_refusal(error: Exception) -> bool:
    """Tell whether *error* says no to the request, rather than that something broke."""
    refusals = (QueueFull, BackendBusy, DeadlineExceeded, BadRequestError, UnknownNameError)
    return isinstance(error, refusals)


def public_text(error: Exception, exchange_id: str) -> str:
    """Return what the chat may show of *error*; a failure has the id under which the log knows more."""
    if isinstance(error, UnknownNameError):
        line = error.line()
        return f"{line[0].upper()}{line[1:]}"
    text = error.public if isinstance(error, BotkitError) else BotkitError.public
    return text if is_refusal(error) else f"{text} (id {exchange_id})"

"""The nouns that travel through botkit: frozen dataclasses of plain values, and nothing else.

    Message -> Conversation -> GenerationRequest -> Chunk ... -> Completion

A queue, a process or a socket can carry each of them.  No behaviour lives here beyond what a value
knows of itself, and nothing here imports anything of botkit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "cancelled"]
"""``stop``: end-of-turn token or stop string; ``length``: ``max_tokens`` or the context is full."""


Outcome = Literal["answered", "refused", "cancelled", "failed"]
"""How a stored message ends; each has exactly one."""


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """Where a conversation takes place: one bot, one chat of one platform, perhaps one thread of it.

    ``chat`` is the platform's id of the chat (web: the id of the page's conversation).  ``thread`` is
    whatever the conversation's scope narrows the chat down to (topic, member, reply tree), or "".
    """

    platform: str
    bot: str
    chat: str
    thread: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who talks: ``platform:id`` names them everywhere, ``name`` is only shown."""

    platform: str
    id: str
    name: str = ""
    is_bot: bool = False

    @property
    def ref(self) -> str:
        """Return ``platform:id``, the form in which people are named in commands and in the store."""
        return f"{self.platform}:{self.id}"


@dataclass(frozen=True, slots=True)
class Message:
    """Something a person said to the bot, as its platform delivered it.

    ``event_id`` is the platform's own id of the event; (platform, bot, event_id) is unique for ever, so
    a message that is delivered twice is stored once.  ``addressed`` tells whether the bot was meant
    (direct message, mention, reply to it, the web page).  ``private`` marks a chat that one person has with
    the bot alone (direct message, the web page, the terminal).  ``reply_to`` is the event that a reply, in
    the end, goes back to: the root of its tree.
    """

    event_id: str
    conversation: ConversationKey
    sender: Person
    text: str
    sent_at: datetime
    addressed: bool = True
    reply_to: str | None = None
    private: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """One stored contribution to a conversation.  ``id`` is the database's own, rising with time."""

    id: int
    role: Role
    text: str
    speaker: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as the store knows it: its turns, oldest first, and what was chosen for it."""

    id: int
    key: ConversationKey
    turns: tuple[Turn, ...] = ()
    model: str | None = None
    title: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CommandInfo:
    """A command as a platform's menu shows it; ``argument`` is "" or how to type it."""

    name: str
    argument: str
    summary: str


@dataclass(frozen=True, slots=True)
class PromptTurn:
    """One turn of a prompt, as the backend's chat template receives it."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, and when to stop.

    ``temperature`` 0 is greedy.  ``top_k`` 0, ``top_p`` 1, ``min_p`` 0 and ``repetition_penalty`` 1
    switch the respective cut off.  ``logprobs`` None returns none; 0 returns the chosen token's alone;
    n returns it with the n likeliest alternatives.  ``seed`` None draws a fresh one.
    """

    max_tokens: int = 256
    temperature: float = 0.5
    top_k: int = 50
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    ignore_end: bool = False
    """Generate on after the end-of-turn token (benchmarks only)."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One piece of work for a backend: either ``turns`` (a chat) or ``prompt`` (a text to continue).

    ``session`` names the conversation for caches and affinity; correctness never depends on it.
    ``person`` is the account that fairness charges.  ``deadline_s`` is the longest wait in line, in
    seconds; ``reply_limit_s`` the longest time the device may work on it, in seconds.
    """

    id: str
    model: str
    turns: tuple[PromptTurn, ...] = ()
    prompt: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    session: str = ""
    person: str = ""
    deadline_s: float = 30.0
    reply_limit_s: float = 300.0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """The natural-log probability of a chosen token, with the likeliest alternatives."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a request cost.  ``cached_tokens`` of ``prompt_tokens`` were not computed again."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a reply.  ``text`` never ends in half a character and may be empty.

    The last chunk of a stream, and only that, has ``finish`` and ``usage``.
    """

    request_id: str
    text: str = ""
    n_tokens: int = 0
    finish: FinishReason | None = None
    usage: Usage | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished reply.  Times are seconds since the request was submitted."""

    text: str
    finish: FinishReason
    model: str
    usage: Usage = field(default_factory=Usage)
    first_chunk_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """A place in line: how many are served before you, and about how long that takes, in seconds."""

    before: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a platform allows for replies; delivery reads this, so the core never asks which platform.

    ``max_units`` counts UTF-16 code units of one message (0: no limit).  ``edit_interval_s`` is the
    shortest time between two edits of one message.  ``lasting``: what is shown outlives this process, and
    a later one can go on with it.
    """

    max_units: int = 0
    edit_interval_s: float = 0.0
    can_edit: bool = True
    typing_interval_s: float = 0.0
    lasting: bool = False
    placeholder: str = ""
    """What a message says until its receipt is stored, where sending again would show it twice."""


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """How a backend is doing; ``state`` says it in one word, ``detail`` in one line."""

    model: str
    state: Literal["stopped", "starting", "ready", "restarting", "failed"]
    detail: str = ""
    running: int = 0
    restarts: int = 0
    resident_bytes: int = 0

"""What requests cost and how fast they are served: estimates that learn from what happened."""

from __future__ import annotations

from botkit.types import GenerationRequest

MEMORY_SLOT_S = 60.0
MIN_SLOT_S = 0.5
MEMORY_TOKENS = 20_000.0
BYTES_PER_TOKEN = 4.0


class Pace:
    """Tokens that one slot serves in a second, over about the last minute of work; idle time is left out."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._tokens = 0.0
        self._slot_s = 0.0
        self._at_s = 0.0

    def advance(self, now_s: float, n_running: int) -> None:
        """Note that *n_running* slots were at work until *now_s*; call it before the number changes."""
        self._slot_s += (now_s - self._at_s) * n_running
        self._at_s = now_s
        if self._slot_s > MEMORY_SLOT_S:
            self._tokens *= MEMORY_SLOT_S / self._slot_s
            self._slot_s = MEMORY_SLOT_S

    def serve(self, n_tokens: int) -> None:
        """Note tokens that were served."""
        self._tokens += n_tokens

    def tokens_per_slot_s(self) -> float | None:
        """Return the measured pace, or None before there is one."""
        if self._slot_s < MIN_SLOT_S or self._tokens <= 0:
            return None
        return self._tokens / self._slot_s


class CostModel:
    """What a request will cost, in tokens: its prompt by its bytes, its reply by what was reserved."""

    def __init__(self) -> None:
        """Start with four bytes a token, and with replies as long as reserved."""
        self._bytes, self._prompt_tokens = BYTES_PER_TOKEN * 100, 100.0
        self._reserved, self._spent = 1.0, 1.0

    def prompt_tokens(self, request: GenerationRequest) -> int:
        """Return about how many tokens the prompt has; exact counts would cost an await at the door."""
        n_bytes = _prompt_bytes(request)
        return max(1, round(n_bytes * self._prompt_tokens / self._bytes))

    def expected(self, reserved_tokens: int) -> float:
        """Return what a request that reserved so much is likely to cost in the end."""
        return reserved_tokens * min(1.0, self._spent / self._reserved)

    def learn_prompt(self, request: GenerationRequest, prompt_tokens: int) -> None:
        """Learn how many tokens a prompt really had."""
        self._bytes += _prompt_bytes(request)
        self._prompt_tokens += prompt_tokens
        if self._prompt_tokens > MEMORY_TOKENS:
            self._bytes, self._prompt_tokens = self._bytes / 2, self._prompt_tokens / 2

    def learn_cost(self, reserved_tokens: int, spent_tokens: int) -> None:
        """Learn what a request with that reservation cost in the end."""
        self._reserved += reserved_tokens
        self._spent += spent_tokens
        if self._reserved > MEMORY_TOKENS:
            self._reserved, self._spent = self._reserved / 2, self._spent / 2


def _prompt_bytes(request: GenerationRequest) -> int:
    texts = [request.prompt or "", *(turn.text for turn in request.turns)]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + 1

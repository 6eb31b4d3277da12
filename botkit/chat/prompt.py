"""From a stored conversation to a request that fits the model."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from botkit.errors import BadRequestError, ContextTooLong
from botkit.types import Conversation, GenerationRequest, PromptTurn, Sampling, Turn

CountTokens = Callable[[Sequence[PromptTurn]], Awaitable[int]]

CUT_MARK = "[...] "
MAX_NAME_CHARACTERS = 40
# No tokenizer makes a token of so many characters on average: what is beyond that is not even counted.
MAX_CHARACTERS_PER_TOKEN = 16


@dataclass(frozen=True, slots=True)
class PromptBuilder:
    """Builds requests: persona first, then the newest turns that fit beside the reserved reply.

    *deadline_s* and *reply_limit_s* are handed on to each request.
    """

    persona: str
    sampling: Sampling
    deadline_s: float = 30.0
    reply_limit_s: float = 300.0

    async def build(
        self,
        conversation: Conversation,
        *,
        model: str,
        person: str,
        context_tokens: int,
        count_tokens: CountTokens,
    ) -> GenerationRequest:
        """Return the request for *conversation*, whose last turn is the message to answer.

        The oldest turns are left out first, in whole exchanges.  A newest message that alone is too long
        keeps its end, behind a mark.  *count_tokens* is awaited about log2(n) times for n exchanges.
        Raises BadRequestError when there is nothing to answer or the context is too small for anything.
        """
        turns = prompt_turns(conversation.turns)
        if not turns or turns[-1].role != "user":
            raise BadRequestError("the conversation has no message to answer")
        max_reply = max(1, min(self.sampling.max_tokens, context_tokens // 2))
        fitted, n_tokens = await _fit(self.persona, turns, context_tokens - max_reply, count_tokens)
        max_tokens = max(1, min(self.sampling.max_tokens, context_tokens - n_tokens))
        return GenerationRequest(
            id=secrets.token_hex(8),
            model=model,
            turns=tuple(fitted),
            sampling=replace(self.sampling, max_tokens=max_tokens),
            session=f"conversation-{conversation.id}",
            person=person,
            deadline_s=self.deadline_s,
            reply_limit_s=self.reply_limit_s,
        )


def prompt_turns(turns: Sequence[Turn]) -> list[PromptTurn]:
    """Return *turns* as a template takes them: user and assistant alternate, a user comes first and last.

    Where more than one person speaks, each text begins with its speaker's name.  Neighbours of one role
    become one turn, because many templates refuse them.
    """
    talk = [turn for turn in turns if turn.role != "system" and turn.text.strip()]
    names = {turn.speaker for turn in talk if turn.role == "user"}
    merged: list[PromptTurn] = []
    for turn in talk:
        text = turn.text
        if turn.role == "user" and len(names) > 1 and turn.speaker:
            text = f"{_one_line(turn.speaker)}: {text}"
        if merged and merged[-1].role == turn.role:
            merged[-1] = PromptTurn(turn.role, f"{merged[-1].text}\n{text}")
        else:
            merged.append(PromptTurn(turn.role, text))
    first_user = next((n for n, turn in enumerate(merged) if turn.role == "user"), len(merged))
    return merged[first_user:]


def _one_line(name: str) -> str:
    """Return *name* so that it cannot pass for a turn of somebody else."""
    return " ".join(name.replace(":", " ").split())[:MAX_NAME_CHARACTERS]


async def _fit(
    persona: str, turns: list[PromptTurn], budget: int, count_tokens: CountTokens
) -> tuple[list[PromptTurn], int]:
    """Return persona and the newest exchanges that cost at most *budget* tokens, and what they cost."""
    system = [PromptTurn("system", persona)] if persona.strip() else []
    starts = [n for n, turn in enumerate(turns) if turn.role == "user"]
    n_far, n_characters = len(starts) - 1, len(turns[-1].text)
    if n_characters > budget * MAX_CHARACTERS_PER_TOKEN:
        return await _cut(system, turns[-1], budget, count_tokens)
    while n_far > 0 and n_characters <= budget * MAX_CHARACTERS_PER_TOKEN:
        n_characters += sum(len(turn.text) for turn in turns[starts[n_far - 1] : starts[n_far]])
        n_far -= 1
    # Invariant: what starts at `too_many` or before costs too much; `best` is the longest that fits.
    best, best_tokens = None, 0
    too_many, fewest, n = n_far - 1, len(starts), n_far
    while too_many + 1 < fewest:
        attempt = [*system, *turns[starts[n] :]]
        n_tokens = await count_tokens(attempt)
        if n_tokens <= budget:
            best, best_tokens, fewest = attempt, n_tokens, n
        else:
            too_many = n
        n = (too_many + fewest) // 2
    if best is not None:
        return best, best_tokens
    return await _cut(system, turns[-1], budget, count_tokens)


async def _cut(
    system: list[PromptTurn], newest: PromptTurn, budget: int, count_tokens: CountTokens
) -> tuple[list[PromptTurn], int]:
    """Return the end of *newest*, with *system* if that leaves room, and what they cost."""
    for kept_system in [system, []] if system else [[]]:
        cut = await _longest_end(kept_system, newest, budget, count_tokens)
        if cut is not None:
            return cut
    raise ContextTooLong(f"the model's context leaves {budget} tokens for a prompt, too few for any message")


async def _longest_end(
    system: list[PromptTurn], newest: PromptTurn, budget: int, count_tokens: CountTokens
) -> tuple[list[PromptTurn], int] | None:
    """Return *system* and as much of the end of *newest* as fits, marked, or None if nothing of it does."""
    fits, too_long = 0, min(len(newest.text), budget * MAX_CHARACTERS_PER_TOKEN) + 1
    best, best_tokens = None, 0
    while fits + 1 < too_long:
        kept = (fits + too_long) // 2
        attempt = [*system, PromptTurn("user", CUT_MARK + newest.text[-kept:])]
        n_tokens = await count_tokens(attempt)
        if n_tokens <= budget:
            best, best_tokens, fits = attempt, n_tokens, kept
        else:
            too_long = kept
    return None if best is None else (best, best_tokens)

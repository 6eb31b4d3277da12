"""Choosing the next token of each row: one batched function.

Shape suffixes: B rows, V vocabulary, K candidates, H remembered tokens of the longest row.

Cutting to the likeliest candidates comes first, because sorting or normalising a whole vocabulary costs more
than everything else here.  Each row draws with one uniform number of its own, so its choice depends on
neither its neighbours nor their seeds.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from botkit.types import Sampling

MAX_CANDIDATES = 1024
"""Up to this top-k only the candidates are sorted; beyond it, and for top-k 0, the whole vocabulary."""
PENALTY_TOKENS = 256
"""How many of the newest tokens the repetition penalty remembers."""


@dataclass(eq=False, slots=True)
class Chooser:
    """One sequence's way of choosing: its settings and its stream of uniform numbers."""

    sampling: Sampling
    uniform: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Start the stream at the request's seed, or anywhere."""
        self.uniform = random.Random(self.sampling.seed)  # noqa: S311 - words, not secrets


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for one row.  ``top`` holds (token, log-probability), likeliest first."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    finite: bool = True


def choose(
    logits_BV: Tensor, choosers: Sequence[Chooser], histories: Sequence[Sequence[int]]
) -> list[Choice]:
    """Return the next token of each row; changes *logits_BV* (float32).

    *histories* are the tokens of each reply so far, oldest first.  The prompt's are not among them: the
    end-of-turn token occurs there, and a reply that is kept from it finds no end.  A temperature of 0 takes
    the likeliest token, the lowest id among equals.  Log-probabilities are the model's own: before
    temperature, penalty and cuts.  A row whose numbers are not finite is told so and gets no useful token.
    """
    samplings = [chooser.sampling for chooser in choosers]
    reported = _log_probabilities(logits_BV, samplings)
    _penalise_(logits_BV, samplings, histories)
    greedy_B, best_B = logits_BV.argmax(-1), logits_BV.amax(-1)
    # One tensor, one wait for the device.
    told = torch.stack((greedy_B.double(), best_B.double())).tolist()
    tokens = [int(token) for token in told[0]]
    finite = [abs(best) < float("inf") for best in told[1]]
    drawn = [row for row, s in enumerate(samplings) if s.temperature > 0 and finite[row]]
    for narrow in (True, False):  # apart, so that one row's wide choice does not cost the others a sort
        rows = [row for row in drawn if _is_narrow(samplings[row]) is narrow]
        if rows:
            chosen = logits_BV if len(rows) == len(samplings) else logits_BV[rows]
            for row, token in zip(rows, _draw(chosen, [choosers[row] for row in rows]), strict=True):
                tokens[row] = token
    return [
        _reported(tokens[row], reported.get(row), samplings[row]) if finite[row] else Choice(0, finite=False)
        for row in range(len(samplings))
    ]


def _penalise_(logits_BV: Tensor, samplings: list[Sampling], histories: Sequence[Sequence[int]]) -> None:
    """Make tokens that the reply used lately less likely (Keskar et al. 2019, arXiv:1909.05858, 4.1)."""
    rows = [row for row, sampling in enumerate(samplings) if sampling.repetition_penalty != 1.0]
    recent = {row: list(set(histories[row][-PENALTY_TOKENS:])) for row in rows}
    rows = [row for row in rows if recent[row]]
    if not rows:
        return
    device = logits_BV.device
    at_rows = torch.tensor([row for row in rows for _ in recent[row]], device=device)
    at_tokens = torch.tensor([token for row in rows for token in recent[row]], device=device)
    penalties = torch.tensor(
        [samplings[row].repetition_penalty for row in rows for _ in recent[row]], device=device
    )
    scores = logits_BV[at_rows, at_tokens]
    logits_BV[at_rows, at_tokens] = torch.where(scores > 0, scores / penalties, scores * penalties)


def _draw(logits_BV: Tensor, choosers: Sequence[Chooser]) -> list[int]:
    """Draw a token for each row from what temperature and cuts leave (top-p: Holtzman et al. 2020).

    Weights are relative to the likeliest token's, in double precision, so that no temperature is too small.
    """
    samplings = [chooser.sampling for chooser in choosers]
    device = logits_BV.device

    def column(values: Iterable[float]) -> Tensor:
        return torch.tensor([[value] for value in values], dtype=torch.float64, device=device)

    n_candidates = max(s.top_k for s in samplings) if all(map(_is_narrow, samplings)) else logits_BV.shape[-1]
    scores_BK, tokens_BK = logits_BV.topk(min(n_candidates, logits_BV.shape[-1]))
    differences_BK = (scores_BK - scores_BK[:, :1]).double()
    weights_BK = (differences_BK / column(s.temperature for s in samplings)).exp()
    ranks_K = torch.arange(weights_BK.shape[-1], device=device)
    weights_BK = torch.where(
        ranks_K < column(s.top_k or weights_BK.shape[-1] for s in samplings), weights_BK, 0.0
    )
    before_BK = weights_BK.cumsum(-1) - weights_BK
    top_p = column(s.top_p for s in samplings)
    inside_BK = (before_BK < top_p * weights_BK.sum(-1, keepdim=True)) | (top_p >= 1.0)
    inside_BK &= weights_BK >= column(s.min_p for s in samplings)
    inside_BK[:, 0] = True
    totals_BK = torch.where(inside_BK, weights_BK, 0.0).cumsum(-1)
    uniform = column(chooser.uniform.random() for chooser in choosers)
    picked = torch.searchsorted(totals_BK, uniform * totals_BK[:, -1:], right=True)
    picked.clamp_(max=totals_BK.shape[-1] - 1)  # the product may round up to the last total itself
    tokens: list[int] = tokens_BK.gather(-1, picked)[:, 0].tolist()
    return tokens


def _is_narrow(sampling: Sampling) -> bool:
    """Tell whether a few candidates are all that can be drawn."""
    return 0 < sampling.top_k <= MAX_CANDIDATES


def _log_probabilities(logits_BV: Tensor, samplings: list[Sampling]) -> dict[int, Tensor]:
    """Return the log-probabilities [V] of each row that asked for them."""
    rows = [row for row, sampling in enumerate(samplings) if sampling.logprobs is not None]
    return {row: logits_BV[row].log_softmax(-1) for row in rows}


def _reported(token: int, logprobs_V: Tensor | None, sampling: Sampling) -> Choice:
    if logprobs_V is None:
        return Choice(token)
    values, tokens = logprobs_V.topk(min(sampling.logprobs or 0, len(logprobs_V)))
    top = tuple(zip(tokens.tolist(), values.tolist(), strict=True))
    return Choice(token, float(logprobs_V[token]), top)

"""The stepper: requests in, one token for each of them a step, chunks out.  Synchronous, one thread."""

from __future__ import annotations

from collections.abc import Sequence as Items

import torch
from torch import Tensor

from botkit.engine.architecture import Architecture, Slots
from botkit.engine.codec import TextCodec
from botkit.engine.sampler import choose
from botkit.engine.scheduler import Batch, Scheduler
from botkit.engine.sequence import Sequence
from botkit.engine.state import SlotState
from botkit.engine.wire import Failed
from botkit.errors import BackendError, BadRequestError, BotkitError, ContextTooLong
from botkit.types import Chunk, GenerationRequest

Event = Chunk | Failed


class Engine:
    """Runs many requests on one loaded model; each joins and leaves at any step.

    ``add``, ``step`` until ``idle``; ``cancel`` frees a slot at once.
    """

    def __init__(
        self,
        architecture: Architecture,
        codec: TextCodec,
        *,
        n_slots: int,
        context_tokens: int,
        prefill_tokens: int,
    ) -> None:
        """Allocate *n_slots* slots; prompt and reply have at most *context_tokens* together."""
        self.architecture, self.codec = architecture, codec
        limit = architecture.context_tokens
        self.context_tokens = context_tokens if limit is None else min(context_tokens, limit)
        self.n_slots = n_slots
        self._prefill_tokens = prefill_tokens
        self._start_over()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._scheduler.running and not self._scheduler.n_waiting

    @property
    def n_running(self) -> int:
        """How many slots are taken."""
        return len(self._scheduler.running)

    def encode(self, request: GenerationRequest) -> list[int]:
        """Return the tokens of the request's prompt; raises BadRequestError for one that cannot be served."""
        if request.sampling.max_tokens < 1:
            raise BadRequestError("max_tokens must be at least 1")
        if request.prompt is None and not request.turns:
            raise BadRequestError("the request has neither turns nor a prompt")
        tokens = (
            self.codec.encode_chat(request.turns)
            if request.prompt is None
            else self.codec.encode_text(request.prompt)
        )
        if not tokens:
            raise BadRequestError("the prompt is empty")
        if len(tokens) >= self.context_tokens:
            raise ContextTooLong(
                f"the prompt has {len(tokens)} tokens, but the context of this model is {self.context_tokens}"
            )
        return tokens

    def add(self, request: GenerationRequest, prompt: list[int] | None = None) -> None:
        """Take *request*; *prompt* is what ``encode`` returned for it.  Raises BadRequestError."""
        tokens = self.encode(request) if prompt is None else prompt
        if self._scheduler.find(request.id) is not None:
            raise BadRequestError(f"request '{request.id}' is being worked on already")
        max_tokens = min(request.sampling.max_tokens, self.context_tokens - len(tokens))
        self._scheduler.add(Sequence(request, tokens, self.codec, max_tokens))

    def cancel(self, request_id: str) -> bool:
        """Drop the request and free its slot; tell whether there was one."""
        sequence = self._scheduler.find(request_id)
        if sequence is None:
            return False
        self._scheduler.remove(sequence)
        return True

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Advance every running request by one step and return what came of it."""
        events: list[Event] = []
        for batch in self._scheduler.plan():
            events += self._advance(batch, self._forward(batch))
        return events

    def fail_all(self, error: BotkitError) -> list[Event]:
        """End every request with *error* and begin with fresh state: nothing of a broken step is kept."""
        failures: list[Event] = [Failed(sequence.id, error) for sequence in self._scheduler.everybody]
        self._start_over()
        return failures

    def check_invariants(self) -> None:
        """Raise AssertionError if slots, sequences and state disagree: a bug in the engine."""
        self._scheduler.check()

    def _start_over(self) -> None:
        self._state = SlotState(self.architecture, self.n_slots, self.context_tokens)
        self._scheduler = Scheduler(self._state, self._prefill_tokens)

    def _forward(self, batch: Batch) -> Tensor:
        """Let the model absorb the batch's tokens; return the logits [B, V] after each row."""
        rows = [
            [*tokens, *[0] * (batch.n_columns - length)]
            for tokens, length in zip(_next_tokens(batch), batch.lengths, strict=True)
        ]
        tokens_BT = torch.tensor(rows, dtype=torch.int64).to(self.architecture.device)
        slots = [sequence.slot for sequence in batch.sequences if sequence.slot is not None]
        logits = self.architecture.forward(tokens_BT, list(batch.lengths), self._state, Slots(tuple(slots)))
        for sequence, slot, length in zip(batch.sequences, slots, batch.lengths, strict=True):
            sequence.n_absorbed += length
            self._state.n_tokens[slot] += length
        return logits

    def _advance(self, batch: Batch, logits_BV: Tensor) -> list[Event]:
        """Choose the next token of each sequence that has absorbed all it has, and free the finished ones."""
        ready = [row for row, sequence in enumerate(batch.sequences) if not sequence.is_reading]
        if not ready:
            return []
        sequences = [batch.sequences[row] for row in ready]
        chosen = logits_BV if len(ready) == len(batch.sequences) else logits_BV[ready]
        choices = choose(chosen, [s.chooser for s in sequences], [s.written for s in sequences])
        events: list[Event] = []
        for sequence, choice in zip(sequences, choices, strict=True):
            if not choice.finite:
                error = BackendError("the model's numbers are not finite", hint="try engine.dtype=float32")
                events.append(Failed(sequence.id, error))
                self._scheduler.remove(sequence)
                continue
            events.append(sequence.accept(choice))
            if sequence.finish is not None:
                self._scheduler.remove(sequence)
        return events


def _next_tokens(batch: Batch) -> list[Items[int]]:
    return [s.next_tokens(length) for s, length in zip(batch.sequences, batch.lengths, strict=True)]

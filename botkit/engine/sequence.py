"""One request on the device: its tokens, where it stands, and the text that comes of it."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field

from botkit.engine.codec import TextCodec
from botkit.engine.detokenizer import Detokenizer, StopStrings
from botkit.engine.sampler import Choice, Chooser
from botkit.types import Chunk, FinishReason, GenerationRequest, TokenLogprob, Usage


@dataclass(eq=False)
class Sequence:
    """A request from its prompt's tokens to its finish.

    Waiting: ``slot`` is None.  Reading: ``n_absorbed`` is short of the prompt.  Writing: all tokens but the
    newest have been absorbed.  Finished: ``finish`` is set, and no slot is held.
    """

    request: GenerationRequest
    prompt: list[int]
    codec: TextCodec
    max_tokens: int
    """The most tokens it may write: as asked, or as the context leaves."""
    tokens: list[int] = field(init=False)
    """Prompt and reply."""
    slot: int | None = None
    n_absorbed: int = 0
    finish: FinishReason | None = None

    def __post_init__(self) -> None:
        """Begin with the prompt."""
        self.tokens = list(self.prompt)
        self.chooser = Chooser(self.request.sampling)
        self._text = Detokenizer(self.codec.tokenizer)
        self._stops = StopStrings((*self.request.sampling.stop, *self.codec.stop_texts))

    @property
    def id(self) -> str:
        """The request's id."""
        return self.request.id

    @property
    def n_written(self) -> int:
        """How many tokens the reply has so far."""
        return len(self.tokens) - len(self.prompt)

    @property
    def written(self) -> list[int]:
        """The reply's tokens so far."""
        return self.tokens[len(self.prompt) :]

    @property
    def is_reading(self) -> bool:
        """Whether part of the prompt has not been absorbed yet."""
        return self.n_absorbed < len(self.prompt)

    def next_tokens(self, most: int) -> Items[int]:
        """Return the next tokens to absorb, at most *most*."""
        return self.tokens[self.n_absorbed : self.n_absorbed + most]

    def accept(self, choice: Choice) -> Chunk:
        """Take the token that was chosen to come next and return what can be shown of it."""
        sampling = self.request.sampling
        ends = choice.token in self.codec.stop_ids and not sampling.ignore_end
        text = ""
        if not ends:
            self.tokens.append(choice.token)
            text = self._stops.add(self._text.add(choice.token))
        if ends or self._stops.found:
            self.finish = "stop"
        elif self.n_written >= self.max_tokens:
            self.finish = "length"
        if self.finish is not None and not self._stops.found:
            text += self._stops.add(self._text.flush()) + self._stops.flush()
        return Chunk(
            self.id,
            text=text,
            n_tokens=1,
            finish=self.finish,
            usage=self.usage if self.finish else None,
            logprobs=() if ends or choice.logprob is None else (self._logprob(choice),),
        )

    @property
    def usage(self) -> Usage:
        """What the request cost so far."""
        return Usage(prompt_tokens=len(self.prompt), completion_tokens=self.n_written)

    def _logprob(self, choice: Choice) -> TokenLogprob:
        assert choice.logprob is not None
        top = tuple((self.codec.token_text(token), logprob) for token, logprob in choice.top)
        return TokenLogprob(self.codec.token_text(choice.token), choice.logprob, top)

"""A backend that answers with your own words, reversed: the smallest whole botkit plugin."""

from contextlib import aclosing, asynccontextmanager

from botkit import hookimpl
from botkit.types import BackendStatus, Chunk, Usage


class Reverser:
    model, slots, context_tokens = "reverse-echo", 4, 4096

    async def start(self):
        """Nothing to load; a real backend opens its weights or its connection here."""

    async def aclose(self):
        """Nothing to free."""

    async def count_tokens(self, turns):
        return sum(len(turn.text.split()) for turn in turns)

    @asynccontextmanager
    async def generate(self, request):
        async with aclosing(self._chunks(request)) as chunks:  # leaving the block ends the work
            yield chunks

    async def _chunks(self, request):
        words = request.turns[-1].text.split()[::-1][: request.sampling.max_tokens]
        for n, word in enumerate(words):
            yield Chunk(request.id, text=word if n == 0 else f" {word}", n_tokens=1)
        yield Chunk(
            request.id, finish="stop", usage=Usage(await self.count_tokens(request.turns), len(words))
        )

    def status(self):
        return BackendStatus(self.model, "ready")


@hookimpl
def register_backends(register):
    register("reverse-echo", lambda settings: Reverser(), summary="your own words, reversed")

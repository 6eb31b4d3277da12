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
        words = (request.turns[-1].text if request.turns else request.prompt or "").split()[::-1]
        said, usage = words[: request.sampling.max_tokens], await self.count_tokens(request.turns)
        for n, word in enumerate(said):
            yield Chunk(request.id, text=" " * (n > 0) + word, n_tokens=1)
        yield Chunk(request.id, finish="stop" if said == words else "length", usage=Usage(usage, len(said)))

    def status(self):
        return BackendStatus(self.model, "ready")


@hookimpl
def register_backends(register):
    register("reverse-echo", lambda settings: Reverser(), summary="your own words, reversed")

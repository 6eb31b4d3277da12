"""The files of a new plugin's project, as ``botkit plugins new`` writes them."""

from __future__ import annotations

from string import Template

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$distribution"
version = "0.1.0"
description = "A botkit backend that answers with your own words, in capitals."
requires-python = ">=3.11"
dependencies = ["botkit"]

[project.entry-points.botkit]
$name = "$module"

[tool.hatch.build.targets.wheel]
only-include = ["$module.py"]
"""

_MODULE = '''\
"""A botkit plugin: a model that answers with your own words, in capitals."""

from contextlib import aclosing, asynccontextmanager

from botkit import hookimpl
from botkit.types import BackendStatus, Chunk, Usage

NAME = "$name"


class Shouter:
    """Implements ``botkit.protocols.Backend``; put a model of your own into ``_chunks``."""

    model = NAME
    slots = 4
    context_tokens = 4096

    async def start(self):
        """Nothing to load; a real backend opens its weights or its connection here."""

    async def aclose(self):
        """Nothing to free."""

    async def count_tokens(self, turns):
        """Return what the turns cost as a prompt; here a token is a word."""
        return sum(len(turn.text.split()) for turn in turns)

    @asynccontextmanager
    async def generate(self, request):
        """Work for as long as the context is open; leaving it, by whatever door, ends the work."""
        async with aclosing(self._chunks(request)) as chunks:
            yield chunks

    def status(self):
        """Tell how it is doing; never blocks."""
        return BackendStatus(self.model, "ready")

    async def _chunks(self, request):
        words = request.turns[-1].text.upper().split()
        said = words[: request.sampling.max_tokens]
        for n, word in enumerate(said):
            yield Chunk(request.id, text=f" {word}" if n else word, n_tokens=1)
        finish = "stop" if len(said) == len(words) else "length"
        usage = Usage(await self.count_tokens(request.turns), len(said))
        yield Chunk(request.id, finish=finish, usage=usage)


@hookimpl
def register_backends(register):
    """Offer the model."""
    register(NAME, lambda settings: Shouter(), summary="your own words, in capitals")
'''

_TEST = '''\
"""The plugin is found, and its model answers.  Run with pytest once the plugin is installed."""

import asyncio

from botkit.plugins import Plugins
from botkit.types import GenerationRequest, PromptTurn, Sampling

NAME = "$name"


async def chunks_for(text, **sampling):
    backend = Plugins.load().backends[NAME].create(None)
    await backend.start()
    turns = (PromptTurn("user", text),)
    request = GenerationRequest("1", NAME, turns=turns, sampling=Sampling(**sampling))
    async with backend.generate(request) as chunks:
        received = [chunk async for chunk in chunks]
    await backend.aclose()
    return received


def test_the_plugin_loads():
    states = {report.name: report.error or report.state for report in Plugins.load().reports}

    assert states[NAME] == "loaded"


def test_it_answers_in_capitals():
    chunks = asyncio.run(chunks_for("one two"))

    assert "".join(chunk.text for chunk in chunks) == "ONE TWO"


def test_only_the_last_chunk_has_a_finish():
    chunks = asyncio.run(chunks_for("one two three", max_tokens=2))

    assert [chunk.finish for chunk in chunks] == [None, None, "length"]
    assert chunks[-1].usage.completion_tokens == 2
'''

_README = """\
# $distribution

A botkit plugin. It brings the model `$name`, which answers with your own words in capitals.

    pip install -e .
    botkit plugins list
    botkit chat --model $name --once "one two three"

Replace the class in `$module.py` with what you have in mind; `pytest` runs the test.
"""


def files(name: str) -> dict[str, str]:
    """Return the text of each file of the project for the plugin *name* (``small-words-like-this``)."""
    distribution = f"botkit-{name}"
    words = {
        "name": name,
        "distribution": distribution,
        "module": distribution.replace("-", "_"),
    }
    templates = {
        "pyproject.toml": _PYPROJECT,
        f"{words['module']}.py": _MODULE,
        f"test_{words['module']}.py": _TEST,
        "README.md": _README,
    }
    return {file: Template(text).substitute(words) for file, text in templates.items()}

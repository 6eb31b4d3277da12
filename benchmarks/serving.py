"""Serving speed beside `transformers` on the same weights, in the same run.

    python benchmarks/serving.py --model smollm2-135m-instruct --json serving.json

For each number of conversations: total tokens per second, time to first token, and for our engine (which
runs in its own process, as in the bot) the lag of this process's event loop meanwhile.  Engines take turns
within each repetition; medians with the smallest and largest value are printed.  Greedy, end-of-text
ignored, so that all do the same work.  An engine that is not at work waits on a pipe and uses no processor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from botkit.clock import SystemClock
from botkit.config import EngineSettings, load_settings
from botkit.engine.backend import EngineBackend
from botkit.engine.library import ModelLibrary
from botkit.types import GenerationRequest, PromptTurn, Sampling

PROMPTS = [
    "Tell me about the sea.",
    "How do I bake bread?",
    "Write a short story about a fox.",
    "What is a transistor?",
    "Give me three ideas for a rainy day.",
    "Explain gravity to a child.",
    "Why do cats purr?",
    "Name some good habits for students.",
]


@dataclass
class Round:
    """One engine's work on one set of prompts."""

    tokens_per_s: float
    first_token_ms: float
    lags_ms: list[float] = field(default_factory=list)
    rss_mb: float = 0.0


class Ours:
    """botkit's engine in its child process."""

    def __init__(self, folder: Path, dtype: str, threads: int, slots: int) -> None:
        self.name = f"botkit {dtype}"
        settings = EngineSettings(dtype=dtype, threads=threads, slots=slots)  # type: ignore[arg-type]
        self.backend = EngineBackend("bench", folder, settings, SystemClock())

    async def start(self) -> None:
        await self.backend.start()

    async def one(self, prompt: str, n: int, n_tokens: int) -> tuple[float, int]:
        """Return the seconds to the first text, and the tokens generated."""
        sampling = Sampling(max_tokens=n_tokens, temperature=0.0, repetition_penalty=1.0, ignore_end=True)
        request = GenerationRequest(f"bench-{n}", "bench", (PromptTurn("user", prompt),), sampling=sampling)
        started, first, count = time.perf_counter(), 0.0, 0
        async with self.backend.generate(request) as chunks:
            async for chunk in chunks:
                first = first or time.perf_counter() - started
                count = chunk.usage.completion_tokens if chunk.usage else count
        return first, count

    async def run(self, prompts: list[str], n_tokens: int) -> Round:
        lags: list[float] = []
        watcher = asyncio.create_task(watch_lag(lags))
        started = time.perf_counter()
        results = await asyncio.gather(*(self.one(p, n, n_tokens) for n, p in enumerate(prompts)))
        total_s = time.perf_counter() - started
        watcher.cancel()
        rss_mb = self.backend.status().resident_bytes / 2**20
        first_ms = statistics.median(first for first, _ in results) * 1000
        return Round(sum(count for _, count in results) / total_s, first_ms, lags, rss_mb)

    async def close(self) -> None:
        await self.backend.aclose()


async def watch_lag(lags_ms: list[float], every_s: float = 0.005) -> None:
    """Append how late each wake-up of this event loop was, in milliseconds."""
    while True:
        due = time.perf_counter() + every_s
        await asyncio.sleep(every_s)
        lags_ms.append(max(0.0, time.perf_counter() - due) * 1000)


class Peer:
    """`transformers` in a child process, whole batches or one prompt after the other."""

    def __init__(self, folder: Path, dtype: str, threads: int, *, batched: bool) -> None:
        self.name = f"transformers {dtype}, {'batched' if batched else 'one at a time'}"
        self.batched = batched
        script = Path(__file__).with_name("peer_transformers.py")
        self.command = [sys.executable, str(script), str(folder), dtype, str(threads)]

    async def start(self) -> None:
        self.child = await asyncio.create_subprocess_exec(
            *self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        await self.answer()

    async def answer(self) -> dict[str, float]:
        assert self.child.stdout is not None
        return json.loads(await self.child.stdout.readline())

    async def run(self, prompts: list[str], n_tokens: int) -> Round:
        assert self.child.stdin is not None
        task = {"prompts": prompts, "n_tokens": n_tokens, "batched": self.batched}
        self.child.stdin.write(json.dumps(task).encode() + b"\n")
        answer = await self.answer()
        first_ms = statistics.median(answer["first_token_s"]) * 1000
        return Round(answer["n_tokens"] / answer["total_s"], first_ms, [], answer["rss_mb"])

    async def close(self) -> None:
        self.child.kill()
        await self.child.wait()


def spread(values: list[float]) -> str:
    """Return median (smallest .. largest)."""
    return f"{statistics.median(values):.0f} ({min(values):.0f}..{max(values):.0f})"


def percentile(values: list[float], share: float) -> float:
    """Return the value below which *share* of *values* lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


@contextmanager
def as_transformers_has_it(folder: Path) -> Iterator[Path]:
    """Give the same files under the names that `transformers` looks for."""
    with tempfile.TemporaryDirectory() as made:
        for file in folder.iterdir():
            name = "model.safetensors" if file.name == "weights.safetensors" else file.name
            (Path(made) / name).symlink_to(file)
        yield Path(made)


async def measure(options: argparse.Namespace, stack: ExitStack) -> dict[tuple[str, int], list[Round]]:
    """Run all engines in turns and return their rounds by (engine, conversations)."""
    folder = ModelLibrary(load_settings().data_dir / "models").path(options.model)
    theirs = stack.enter_context(as_transformers_has_it(folder))
    engines: list[Ours | Peer] = [
        Ours(folder, "bfloat16", options.threads, max(options.concurrency)),
        Ours(folder, "float32", options.threads, max(options.concurrency)),
        Peer(theirs, "float32", options.threads, batched=False),
        Peer(theirs, "float32", options.threads, batched=True),
        Peer(theirs, "bfloat16", options.threads, batched=True),
    ]
    rounds: dict[tuple[str, int], list[Round]] = {}
    for engine in engines:
        await engine.start()
        await engine.run(PROMPTS[:2], 4)
    for repetition in range(options.repeat):
        for concurrency in options.concurrency:
            prompts = [PROMPTS[n % len(PROMPTS)] for n in range(concurrency)]
            for engine in engines:
                if (
                    isinstance(engine, Peer)
                    and not engine.batched
                    and concurrency > options.one_at_a_time_up_to
                ):
                    continue
                rounds.setdefault((engine.name, concurrency), []).append(
                    await engine.run(prompts, options.tokens)
                )
        Console(stderr=True).print(f"repetition {repetition + 1} of {options.repeat} done")
    for engine in engines:
        await engine.close()
    return rounds


def report(rounds: dict[tuple[str, int], list[Round]]) -> None:
    """Print the table."""
    table = Table("engine", "conversations", "tokens/s", "first token, ms", "loop lag p50/p99, ms", "RSS, MB")
    for (name, concurrency), measured in rounds.items():
        lags = [lag for each in measured for lag in each.lags_ms]
        table.add_row(
            name,
            str(concurrency),
            spread([each.tokens_per_s for each in measured]),
            spread([each.first_token_ms for each in measured]),
            f"{percentile(lags, 0.5):.1f} / {percentile(lags, 0.99):.1f}" if lags else "",
            f"{max(each.rss_mb for each in measured):.0f}",
        )
    Console(width=120).print(table)


def main() -> None:
    """Read the options, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--concurrency", type=lambda s: [int(n) for n in s.split(",")], default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one-at-a-time-up-to", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with ExitStack() as stack:
        rounds = asyncio.run(measure(options, stack))
    report(rounds)
    if options.json:
        rows = [
            {"engine": name, "concurrency": n, "rounds": [asdict(each) for each in measured]}
            for (name, n), measured in rounds.items()
        ]
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

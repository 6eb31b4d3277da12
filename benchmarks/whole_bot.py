"""The whole bot under load: `botkit run` as a person starts it, with conversations over its API.

    python benchmarks/whole_bot.py --model smollm2-135m-instruct --json whole_bot.json

For each number of conversations: total tokens per second and time to first token as a client sees them, the
lag of the bot's event loop from its own metrics (p50 and p99, interpolated within the histogram's buckets),
and the resident memory of bot and engine.  Also the time from starting the process to its first token.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from botkit.config import default_data_dir

PROMPT = "Write a short story about a fox and the sea."
LAG = re.compile(r'botkit_event_loop_lag_seconds_bucket\{le="([^"]+)"\} ([\d.e+]+)')


async def start(folder: Path, options: argparse.Namespace) -> tuple[asyncio.subprocess.Process, str]:
    """Start the bot on its own data folder with the models of the real one; return it and its address."""
    (folder / "models").symlink_to(default_data_dir() / "models")
    settings = [f"engine.slots={max(options.concurrency)}", "web.port=0", "queue.max_waiting_per_person=100"]
    words = ["-m", "botkit", "run", "--data", str(folder), "--model", options.model, "--json"]
    child = await asyncio.create_subprocess_exec(
        sys.executable, *words, *(word for one in settings for word in ("--set", one)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout is not None
    while True:
        line = (await child.stdout.readline()).decode()
        if found := re.search(r"http://[\d.]+:\d+", line):
            return child, found[0]


async def converse(client: httpx.AsyncClient, n: int, options: argparse.Namespace) -> tuple[float, int]:
    """Have one answer streamed; return the seconds to its first text and its number of tokens."""
    body = {
        "model": options.model, "messages": [{"role": "user", "content": f"{PROMPT} ({n})"}], "stream": True,
        "max_tokens": options.tokens, "temperature": 0.8, "seed": n, "user": f"person-{n}",
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    started, first, tokens = time.perf_counter(), 0.0, 0
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if not first and event["choices"] and event["choices"][0]["delta"].get("content"):
                first = time.perf_counter() - started
            tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
    return first, tokens


async def lags(client: httpx.AsyncClient) -> list[tuple[float, float]]:
    """Return the histogram of the loop's lag: (upper bound in seconds, how many so far)."""
    text = (await client.get("/metrics")).text
    return [(float(bound.replace("+Inf", "inf")), float(n)) for bound, n in LAG.findall(text)]


def quantile_ms(before: list[tuple[float, float]], after: list[tuple[float, float]], share: float) -> float:
    """Return a quantile of what was added between two readings, interpolated within its bucket."""
    counts = [(bound, n - old) for (bound, n), (_, old) in zip(after, before, strict=True)]
    wanted, low, below = share * counts[-1][1], 0.0, 0.0
    for bound, n in counts:
        if n >= wanted and n > below:
            return (
                1000 * (low + (bound - low) * (wanted - below) / (n - below)) if bound < 1e9 else 1000 * low
            )
        low, below = bound, n
    return 1000 * low


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (2**20)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def children(pid: int) -> list[int]:
    """Return the processes that *pid* started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def measure(options: argparse.Namespace) -> list[dict[str, float]]:
    """Start the bot, load it, read its metrics."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        child, address = await start(Path(folder), options)
        rows = []
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits) as client:
            serving_s = time.perf_counter() - started
            first, _ = await converse(client, 0, options)
            Console(stderr=True).print(
                f"serving after {serving_s:.1f} s, first token {first:.1f} s after that"
            )
            for n in options.concurrency:
                for _ in range(options.repeat):
                    before, begun = await lags(client), time.perf_counter()
                    answers = await asyncio.gather(*(converse(client, k, options) for k in range(n)))
                    seconds, after = time.perf_counter() - begun, await lags(client)
                    rows.append(
                        {
                            "concurrency": n,
                            "tokens_per_s": sum(tokens for _, tokens in answers) / seconds,
                            "ttft_ms": 1000 * statistics.median(first for first, _ in answers),
                            "lag_p50_ms": quantile_ms(before, after, 0.5),
                            "lag_p99_ms": quantile_ms(before, after, 0.99),
                            "bot_rss_mb": resident_mb(child.pid),
                            "engine_rss_mb": sum(map(resident_mb, children(child.pid))),
                            "serving_s": serving_s,
                            "first_token_s": serving_s + first,
                        }
                    )
        child.terminate()
        await child.wait()
    return rows


def main() -> None:
    """Read the options, measure, print medians (smallest..largest), write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--concurrency", type=lambda s: [int(n) for n in s.split(",")], default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = asyncio.run(measure(options))
    names = [name for name in rows[0] if name not in ("concurrency", "serving_s", "first_token_s")]
    table = Table("conversations", *names)
    for n in options.concurrency:
        mine = [row for row in rows if row["concurrency"] == n]
        cells = [
            f"{statistics.median(row[name] for row in mine):.1f}"
            f" ({min(row[name] for row in mine):.1f}..{max(row[name] for row in mine):.1f})"
            for name in names
        ]
        table.add_row(str(n), *cells)
    Console(width=140).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

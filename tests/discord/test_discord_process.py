"""The bot as a process that is killed in the middle of its work, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from discord_town import Town

from botkit.testing.discord import Channel

pytestmark = pytest.mark.slow

N_MESSAGES = 12
ANSWERING_S = 60


@asynccontextmanager
async def process(town: Town) -> AsyncIterator[Process]:
    """Give ``botkit run`` with the model echo, once it serves on Discord."""
    words = [word for one in town.settings("web.enabled=false") for word in ("--set", one)]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    town.data.parent.joinpath("home").mkdir(exist_ok=True)
    log = town.data.parent / "stderr"
    with log.open("ab") as stderr:
        bot = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "botkit", "run", "--json", "--data", str(town.data)),
            *words,
            *("--set", "model=echo"),
            stdout=PIPE,
            stderr=stderr,
            env={**kept, "HOME": str(town.data.parent / "home")},
        )
    try:
        assert bot.stdout is not None
        while b'"discord"' not in (line := await bot.stdout.readline()):
            assert line, log.read_text()
        yield bot
    finally:
        if bot.returncode is None:
            bot.kill()
            await bot.wait()
        bot._transport.close()  # type: ignore[attr-defined]  # else it warns of its pipe


async def burst(town: Town, channels: list[Channel]) -> None:
    for number in range(N_MESSAGES):
        channel = channels[number % len(channels)]
        await town.discord.say(channel, town.anna, f"{town.bot.mention} this is number {number}")


def expected(channels: list[Channel], index: int) -> list[str]:
    return [f"this is number {number}" for number in range(index, N_MESSAGES, len(channels))]


def shown(town: Town, channel: Channel) -> list[str]:
    """What the bot says in *channel*, its hello aside."""
    return [text for text in town.texts(channel) if text != "hello"]


def all_answered(town: Town, channels: list[Channel]) -> bool:
    return all(shown(town, one) == expected(channels, index) for index, one in enumerate(channels))


@pytest.mark.parametrize(
    ("n_answers", "is_forgotten"), [(0, False), (0, True), (1, False), (4, True), (7, False)]
)
async def test_a_kill_in_a_burst_loses_nothing_and_doubles_nothing(
    town: Town, n_answers: int, is_forgotten: bool
) -> None:
    private = town.discord.dm(town.anna)
    channels = [private, town.square, town.discord.channel(town.guild, "room")]
    async with process(town) as bot:
        # No list of Discord's names a direct channel: the bot has to have heard of it.
        await town.ask("hello", private)
        await town.until_said("hello", channel=private)
        await burst(town, channels)
        await town.discord.wait_for(
            lambda: sum(len(town.answers(one)) for one in channels) > n_answers, timeout=ANSWERING_S
        )
        bot.send_signal(signal.SIGKILL)
        await bot.wait()
    if is_forgotten:
        town.discord.forget_sessions()
    async with process(town) as bot:
        try:
            await town.discord.wait_for(lambda: all_answered(town, channels), timeout=ANSWERING_S)
        except TimeoutError:
            for index, one in enumerate(channels):
                assert town.texts(one) == expected(channels, index)


async def test_a_signal_ends_it_soon_and_leaves_the_session(town: Town) -> None:
    async with process(town) as bot:
        await burst(town, [town.square])
        await town.discord.wait_for(town.answers)
        started_s = time.monotonic()
        bot.send_signal(signal.SIGTERM)

        assert await bot.wait() == 0
        assert time.monotonic() - started_s < 10
    async with process(town):
        await town.until_said(*expected([town.square], 0), timeout=ANSWERING_S)

    assert town.discord.gateway.n_resumed == 1
    assert sorted(path.name for path in (town.data.parent / "home").iterdir()) == []

"""`botkit run` as a process that is killed at the worst of times."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from telegram_bots import TOKEN, overrides

from botkit.testing.telegram import Chat, FakeTelegram, Message

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("bot")]

LIMIT_S = 90.0
PLACEHOLDER = "\N{HORIZONTAL ELLIPSIS}"


@asynccontextmanager
async def process(telegram: FakeTelegram, data: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the bot as its operator does; it is killed when the context closes."""
    settings = [word for one in overrides(telegram) for word in ("--set", one) if not one.startswith("model")]
    words = ["run", "--model", "echo", "--data", str(data), "--set", "web.enabled=false", *settings]
    home = data.parent / "home"
    home.mkdir(exist_ok=True)
    with (data.parent / "log").open("ab") as log:
        bot = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "botkit", *words,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
            cwd=home, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield bot
    finally:
        if bot.returncode is None:
            bot.kill()
        await bot.wait()


def finished(message: Message) -> bool:
    return [button.data for button in message.buttons] == ["regenerate"]


def answers(telegram: FakeTelegram, *chats: Chat) -> list[Message]:
    return [message for chat in chats for message in telegram.answers(chat)]


async def test_a_burst_is_answered_once_though_the_bot_is_killed_in_it(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    people = [telegram.user(name) for name in ("Anna", "Ben", "Carl")]
    chats = [telegram.private(person) for person in people]
    data = tmp_path / "data"

    async with process(telegram, data):
        await telegram.wait_for(lambda: telegram.calls_of("getUpdates"), LIMIT_S)
        for n in range(12):
            await telegram.say(chats[n % 3], people[n % 3], f"message {n}")
        await telegram.wait_for(
            lambda: len([a for a in answers(telegram, *chats) if finished(a)]) >= 2, LIMIT_S
        )
    async with process(telegram, data) as second:
        wanted = Counter(f"message {n}" for n in range(12))
        shown = lambda: Counter(a.text for a in answers(telegram, *chats) if finished(a))  # noqa: E731
        await telegram.wait_for(lambda: shown() >= wanted, LIMIT_S)
        second.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(second.wait(), 10) == 0

    assert shown() == wanted
    rest = [message.text for message in answers(telegram, *chats) if not finished(message)]
    assert rest in ([], [PLACEHOLDER])
    for n, chat in enumerate(chats):
        texts = [message.text for message in telegram.answers(chat) if finished(message)]
        assert texts == [f"message {number}" for number in range(n, 12, 3)]
    assert TOKEN.partition(":")[2] not in (tmp_path / "log").read_text()
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["sendMessage", "editMessageText"])
async def test_a_kill_at_a_call_leaves_one_answer_and_at_most_one_placeholder(
    method: str, after_effect: bool, telegram: FakeTelegram, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    data = tmp_path / "data"
    gate = telegram.hold(method, after_effect=after_effect)

    async with process(telegram, data):
        await telegram.say(chat, anna, "hello")
        await telegram.wait_for(lambda: gate.n_held, LIMIT_S)
    gate.open()
    async with process(telegram, data) as second:
        await telegram.wait_for(lambda: any(map(finished, telegram.answers(chat))), LIMIT_S)
        second.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(second.wait(), 10) == 0

    shown = [message.text for message in telegram.answers(chat)]
    assert shown in (["hello"], [PLACEHOLDER, "hello"])
    assert method == "sendMessage" or shown == ["hello"]

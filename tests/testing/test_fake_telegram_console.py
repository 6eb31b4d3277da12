"""The fake Telegram as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup

from botkit.testing.telegram import FakeTelegram
from botkit.testing.telegram.console import Console


async def test_it_serves_a_bot_of_another_process_until_it_is_told_to_end() -> None:
    command = [sys.executable, "-m", "botkit.testing.telegram", "--token", "9:nine"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    told = dict([(await process.stdout.readline()).decode().split() for _ in range(3)])
    process.stdin.write(b"hello\n")
    await process.stdin.drain()

    async with Bot(told["token"], base_url=told["base_url"], base_file_url=told["base_file_url"]) as bot:
        (update,) = await bot.get_updates(timeout=10)
        assert update.effective_chat is not None
        assert update.message is not None
        await bot.send_message(update.effective_chat.id, f"you said {update.message.text}")
    printed = await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.stdin.close()

    assert printed == b"2: you said hello\n"
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_line_with_a_bang_presses_a_button() -> None:
    lines: list[str] = []
    async with FakeTelegram() as telegram:
        account = telegram.add_bot("9:nine")
        user = telegram.user("You")
        chat = telegram.private(user)
        console = Console(telegram, chat, user, lines.append)
        keys = InlineKeyboardMarkup([[InlineKeyboardButton("Stop", callback_data="stop")]])

        async with Bot("9:nine", base_url=telegram.base_url) as bot:
            await console.take("!Stop")
            await bot.send_message(chat.id, "...", reply_markup=keys)
            await console.take("!Stop")

        assert lines == ["(there is no such button)"]
        assert [update["callback_query"]["data"] for update in account.updates.pending] == ["stop"]

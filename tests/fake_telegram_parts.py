"""What the tests of the fake Telegram share: python-telegram-bot, connected to it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

os.environ.setdefault("PTB_TIMEDELTA", "1")

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, Update
from telegram.request import HTTPXRequest

from botkit.testing.telegram import FakeTelegram

TOKEN = "123:token"
KEYS = InlineKeyboardMarkup([[InlineKeyboardButton("Stop", callback_data="stop:1")]])


@asynccontextmanager
async def connected(telegram: FakeTelegram) -> AsyncIterator[Bot]:
    request = HTTPXRequest(connection_pool_size=8)
    async with telegram:
        telegram.add_bot(TOKEN)
        async with Bot(
            TOKEN, base_url=telegram.base_url, base_file_url=telegram.base_file_url, request=request
        ) as bot:
            yield bot


def texts(updates: tuple[Update, ...]) -> list[str | None]:
    return [update.effective_message.text for update in updates if update.effective_message is not None]

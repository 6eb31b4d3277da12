"""A fake Telegram with one bot, and no pauses between edits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from botkit_telegram import receive, reply
from telegram_bots import TOKEN

from botkit.testing.telegram import Account, FakeTelegram


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as fake:
        yield fake


@pytest.fixture
def bot(telegram: FakeTelegram) -> Account:
    """The bot that ``TOKEN`` opens."""
    return telegram.add_bot(TOKEN)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edit and try again at once: the pace is the core's and has tests of its own."""
    monkeypatch.setattr(
        reply.TelegramReply, "limits", replace(reply.TelegramReply.limits, edit_interval_s=0.0)
    )
    monkeypatch.setattr(receive, "BACK_OFF_S", (0.01,))
    monkeypatch.setattr(receive, "CONFLICT_BACK_OFF_S", 0.01)
    monkeypatch.setattr(receive, "STORE_BACK_OFF_S", 0.01)

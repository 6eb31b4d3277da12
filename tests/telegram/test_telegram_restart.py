"""A bot that ends in the middle of something: the next one finishes it, and nothing is said twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from telegram_bots import LIMIT_S, running

from botkit.clock import SystemClock
from botkit.testing.scripted import ScriptedBackend, words
from botkit.testing.telegram import Account, FakeTelegram, Message

pytestmark = pytest.mark.usefixtures("quick", "bot")


def is_finished(message: Message) -> bool:
    return "stop" not in [button.data for button in message.buttons]


async def test_half_an_answer_is_finished_in_the_same_message(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.group("Forum", topics=True)
    topic = telegram.topic(chat, "Cats", anna)
    slow = ScriptedBackend(SystemClock(), lambda _: words("one two three"), chunk_s=0.2)
    async with running(telegram, tmp_path, backend=slow, crash=True):
        asked = await telegram.say(chat, anna, "@testbot go", topic=topic)
        await telegram.wait_for(lambda: any("one" in a.text for a in telegram.answers(chat)), LIMIT_S)
        begun = telegram.answers(chat)[0].id
    assert not is_finished(telegram.answers(chat)[0])

    quick = ScriptedBackend(SystemClock(), lambda _: ["one two three"])
    async with running(telegram, tmp_path, backend=quick):
        await telegram.wait_for(lambda: is_finished(telegram.answers(chat)[0]), LIMIT_S)

    (answer,) = telegram.answers(chat)
    assert (answer.id, answer.text, answer.topic, answer.reply_to) == (
        begun, "one two three", topic.id, asked,
    )  # fmt: skip


async def test_what_waits_and_what_comes_meanwhile_is_answered_once_and_in_order(
    telegram: FakeTelegram, bot: Account, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    stuck = ScriptedBackend(SystemClock())
    stuck.gate.clear()
    async with running(telegram, tmp_path, backend=stuck, crash=True):
        for n in range(3):
            await telegram.say(chat, anna, f"question {n}")
        await telegram.wait_for(lambda: not bot.updates.pending, LIMIT_S)
    await telegram.say(chat, anna, "question 3")
    async with running(telegram, tmp_path):
        wanted = [f"question {n}" for n in range(4)]
        await telegram.wait_for(lambda: [a.text for a in telegram.answers(chat)] == wanted, LIMIT_S)


async def test_an_answer_waits_for_a_platform_that_is_down(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    backend = ScriptedBackend(SystemClock())
    backend.gate.clear()
    async with running(telegram, tmp_path, backend=backend):
        await telegram.say(chat, anna, "hello")
        await telegram.wait_for(lambda: telegram.calls_of("sendChatAction"), LIMIT_S)
        await telegram.stop()
        backend.gate.set()
        await telegram.start()
        await telegram.wait_for(lambda: [a.text for a in telegram.answers(chat)] == ["hello"], LIMIT_S)

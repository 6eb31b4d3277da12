"""Conversations with the whole bot over a fake Telegram."""

from __future__ import annotations

from pathlib import Path

import pytest
from telegram_bots import LIMIT_S, running

from botkit.clock import SystemClock
from botkit.testing.scripted import ScriptedBackend, words
from botkit.testing.telegram import Account, Chat, FakeTelegram, Message

pytestmark = pytest.mark.usefixtures("quick", "bot")


def answered(telegram: FakeTelegram, chat: Chat, *texts: str) -> bool:
    """Tell whether the bot's messages are these, each with the buttons of a finished one."""
    return [one.text for one in finished(telegram, chat)] == list(texts)


def finished(telegram: FakeTelegram, chat: Chat) -> list[Message]:
    return [one for one in telegram.answers(chat) if [b.data for b in one.buttons] != ["stop"]]


def newest(telegram: FakeTelegram, chat: Chat) -> str:
    return "".join(one.text for one in telegram.answers(chat)[-1:])


async def test_a_private_conversation(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    async with running(telegram, tmp_path):
        asked = await telegram.say(chat, anna, "hello you")
        await telegram.wait_for(lambda: answered(telegram, chat, "hello you"), LIMIT_S)
        (answer,) = telegram.answers(chat)

        assert answer.reply_to == asked
        assert [button.data for button in answer.buttons] == ["regenerate"]


async def test_in_a_group_it_answers_whoever_means_it_and_nobody_else(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    anna, ben = telegram.user("Anna"), telegram.user("Ben")
    chat = telegram.group("Friends")
    backend = ScriptedBackend(SystemClock(), lambda _: ["yes"])
    async with running(telegram, tmp_path, backend=backend):
        await telegram.say(chat, ben, "nobody asked you")
        asked = await telegram.say(chat, anna, "@testbot one two")
        await telegram.wait_for(lambda: answered(telegram, chat, "yes"), LIMIT_S)
        (answer,) = telegram.answers(chat)
        again = await telegram.say(chat, ben, "three", reply_to=answer.id)
        await telegram.wait_for(lambda: answered(telegram, chat, "yes", "yes"), LIMIT_S)

    assert [one.reply_to for one in telegram.answers(chat)] == [asked, again]
    assert [turn.text for turn in backend.requests[0].turns][-1] == "one two"


async def test_an_answer_stays_in_its_topic(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.group("Forum", topics=True)
    topic = telegram.topic(chat, "Cats", anna)
    async with running(telegram, tmp_path):
        await telegram.say(chat, anna, "@testbot meow", topic=topic)
        await telegram.wait_for(lambda: answered(telegram, chat, "meow"), LIMIT_S)

    assert telegram.answers(chat)[0].topic == topic.id


async def test_an_answer_grows_by_edits_of_one_message(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.group("Friends")
    backend = ScriptedBackend(SystemClock(), lambda _: words("one **two** three"), chunk_s=0.05)
    async with running(telegram, tmp_path, backend=backend):
        await telegram.say(chat, anna, "@testbot go")
        await telegram.wait_for(lambda: answered(telegram, chat, "one two three"), LIMIT_S)

    (answer,) = telegram.answers(chat)
    assert len(answer.edits) > 2
    assert telegram.calls_of("sendChatAction")
    assert [(one["type"], one["offset"], one["length"]) for one in answer.entities] == [("bold", 4, 3)]
    assert not any("parse_mode" in call.params for call in telegram.calls)


async def test_a_long_answer_comes_whole_in_parts(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    text = "\n".join(f"line {n} \N{GRINNING FACE}" for n in range(700))
    async with running(telegram, tmp_path, backend=ScriptedBackend(SystemClock(), lambda _: [text])):
        await telegram.say(chat, anna, "go")
        await telegram.wait_for(lambda: "line 699" in newest(telegram, chat), LIMIT_S)
        await telegram.wait_for(lambda: telegram.answers(chat)[0].buttons == [], LIMIT_S)

    shown = [one.text for one in telegram.answers(chat)]
    assert "\n".join(one.strip() for one in shown) == text
    assert all(len(one.encode("utf-16-le")) // 2 <= 4096 for one in shown)
    assert [bool(one.buttons) for one in telegram.answers(chat)] == [False] * (len(shown) - 1) + [True]


async def test_the_buttons_stop_and_write_anew(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    backend = ScriptedBackend(SystemClock(), lambda _: words("one two three four"), chunk_s=0.1)
    async with running(telegram, tmp_path, backend=backend):
        await telegram.say(chat, anna, "go")
        await telegram.wait_for(lambda: "one" in newest(telegram, chat), LIMIT_S)
        stop = await telegram.press(telegram.answers(chat)[0], "Stop", anna)
        await telegram.wait_for(lambda: finished(telegram, chat) and stop.answer is not None, LIMIT_S)
        stopped = telegram.answers(chat)[0].text

        anew = await telegram.press(telegram.answers(chat)[0], "Regenerate", anna)
        await telegram.wait_for(lambda: answered(telegram, chat, stopped, "one two three four"), LIMIT_S)
        await telegram.wait_for(lambda: anew.answer is not None, LIMIT_S)

    assert "four" not in stopped
    assert stop.answer == "Stopped."


async def test_commands_and_the_menu(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.group("Friends")
    async with running(telegram, tmp_path):
        await telegram.say(chat, anna, "/roll")
        await telegram.say(chat, anna, "/stop@testbot")
        await telegram.wait_for(lambda: answered(telegram, chat, "There is nothing to stop."), LIMIT_S)

    assert telegram.answers(chat)[0].buttons == []
    (menu,) = telegram.calls_of("setMyCommands")
    assert '"command": "help"' in menu.params["commands"]
    async with running(telegram, tmp_path):
        assert len(telegram.calls_of("setMyCommands")) == 1


async def test_what_is_delivered_twice_is_answered_once(
    telegram: FakeTelegram, bot: Account, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    async with running(telegram, tmp_path):
        bot.updates.twice(1)
        await telegram.say(chat, anna, "once")
        await telegram.wait_for(lambda: answered(telegram, chat, "once"), LIMIT_S)
        bot.updates.again(1)
        await telegram.say(chat, anna, "then")
        await telegram.wait_for(lambda: answered(telegram, chat, "once", "then"), LIMIT_S)


async def test_poison_and_unknown_updates_are_passed_over(
    telegram: FakeTelegram, bot: Account, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    async with running(telegram, tmp_path):
        bot.updates.put_raw({"message": {"message_id": [], "date": "never", "chat": None}})
        bot.updates.put_raw({"something_new": {"a": 1}})
        bot.updates.put_raw({})
        await telegram.say(chat, anna, "still there?")
        await telegram.wait_for(lambda: answered(telegram, chat, "still there?"), LIMIT_S)
        await telegram.wait_for(lambda: bot.updates.pending == [], LIMIT_S)


async def test_the_place_in_line_is_shown_in_the_message_of_the_answer(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    anna, ben = telegram.user("Anna"), telegram.user("Ben")
    first, second = telegram.private(anna), telegram.private(ben)
    backend = ScriptedBackend(SystemClock(), slots=1)
    backend.gate.clear()
    async with running(telegram, tmp_path, backend=backend):
        await telegram.say(first, anna, "one")
        await telegram.say(second, ben, "two")
        await telegram.wait_for(lambda: "You are next" in newest(telegram, second), LIMIT_S)
        backend.gate.set()
        await telegram.wait_for(lambda: answered(telegram, second, "two"), LIMIT_S)

    assert len(telegram.answers(second)) == 1

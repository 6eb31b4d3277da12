"""What goes wrong on the platform, and what people see of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from telegram_bots import LIMIT_S, TOKEN, running

from botkit.clock import SystemClock
from botkit.errors import ConfigError
from botkit.testing.scripted import ScriptedBackend, words
from botkit.testing.telegram import Chat, FakeTelegram, Flood

pytestmark = pytest.mark.usefixtures("quick", "bot")


def texts(telegram: FakeTelegram, chat: Chat) -> list[str]:
    """Return what the bot's messages say that are finished."""
    return [
        one.text for one in telegram.answers(chat) if "stop" not in [button.data for button in one.buttons]
    ]


@pytest.mark.parametrize("status", [500, 502, 429, 409])
async def test_updates_that_cannot_be_fetched_come_later(
    status: int, telegram: FakeTelegram, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    telegram.fail("getUpdates", status=status, times=2)
    async with running(telegram, tmp_path):
        await telegram.say(chat, anna, "hello")
        await telegram.wait_for(lambda: texts(telegram, chat) == ["hello"], LIMIT_S)


async def test_a_platform_that_asks_to_wait_is_obeyed(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    telegram.fail("sendMessage", status=429, retry_after=1)
    async with running(telegram, tmp_path):
        await telegram.say(chat, anna, "hello")
        await telegram.wait_for(lambda: texts(telegram, chat) == ["hello"], LIMIT_S)

    first, second = telegram.calls_of("sendMessage")[:2]
    assert second.at_s - first.at_s >= 1


@pytest.mark.parametrize(("status", "cut"), [(500, False), (502, False), (500, True)])
async def test_a_send_that_fails_is_made_again(
    status: int, cut: bool, telegram: FakeTelegram, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    telegram.fail("sendMessage", status=status, cut=cut)
    async with running(telegram, tmp_path):
        await telegram.say(chat, anna, "hello")
        await telegram.wait_for(lambda: texts(telegram, chat) == ["hello"], LIMIT_S)


async def test_a_message_that_somebody_removed_comes_again_when_it_is_whole(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    backend = ScriptedBackend(SystemClock(), lambda _: words("one two three"))
    async with running(telegram, tmp_path, backend=backend):
        backend.chunk_s = 0.1
        await telegram.say(chat, anna, "go")
        await telegram.wait_for(lambda: telegram.answers(chat), LIMIT_S)
        await telegram.remove(chat, telegram.answers(chat)[0].id)
        await telegram.wait_for(lambda: texts(telegram, chat) == ["one two three"], LIMIT_S)


async def test_without_the_message_or_the_topic_it_answers_all_the_same(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.group("Forum", topics=True)
    topic = telegram.topic(chat, "Cats", anna)
    for reason in ("message thread not found", "message to be replied not found"):
        telegram.fail("sendMessage", status=400, description=reason)
    async with running(telegram, tmp_path):
        await telegram.say(chat, anna, "@testbot meow", topic=topic)
        await telegram.wait_for(lambda: texts(telegram, chat) == ["meow"], LIMIT_S)

    assert "message_thread_id" not in telegram.calls_of("sendMessage")[2].params


async def test_marks_that_are_refused_are_left_out(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    reason = "can't parse entities: unsupported"
    for method in ("sendMessage", "editMessageText"):
        telegram.fail(method, status=400, description=reason)
    backend = ScriptedBackend(SystemClock(), lambda _: ["so **bold**"])
    async with running(telegram, tmp_path, backend=backend):
        await telegram.say(chat, anna, "go")
        await telegram.wait_for(lambda: texts(telegram, chat) == ["so bold"], LIMIT_S)


async def test_a_group_that_moved_is_followed(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.group("Friends", supergroup=False)
    gate = telegram.hold("sendMessage")
    async with running(telegram, tmp_path):
        await telegram.say(chat, anna, "@testbot hello")
        await telegram.wait_for(lambda: gate.n_held, LIMIT_S)
        moved = telegram.migrate(chat)
        gate.open()
        await telegram.wait_for(lambda: texts(telegram, moved) == ["hello"], LIMIT_S)


async def test_who_blocked_the_bot_gets_nothing_and_others_do(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna, ben = telegram.user("Anna"), telegram.user("Ben")
    gone, chat = telegram.private(anna), telegram.private(ben)
    gate = telegram.hold("sendMessage")
    with capture_logs() as logs:
        async with running(telegram, tmp_path):
            await telegram.say(gone, anna, "hello")
            await telegram.wait_for(lambda: gate.n_held, LIMIT_S)
            telegram.block(gone)
            gate.open()
            await telegram.say(chat, ben, "and me?")
            await telegram.wait_for(lambda: texts(telegram, chat) == ["and me?"], LIMIT_S)

    assert texts(telegram, gone) == []
    assert [one["outcome"] for one in logs if one["event"] == "message_settled"].count("failed") == 1


async def test_a_stream_in_a_busy_group_stays_within_what_the_platform_takes(tmp_path: Path) -> None:
    async with FakeTelegram(flood=Flood()) as telegram:
        telegram.add_bot(TOKEN)
        anna = telegram.user("Anna")
        chat = telegram.group("Friends")
        text = " ".join(f"word{n}" for n in range(150))
        backend = ScriptedBackend(SystemClock(), lambda _: words(text), chunk_s=0.005)
        async with running(telegram, tmp_path, backend=backend):
            for n in (1, 2):
                await telegram.say(chat, anna, "@testbot go")
                await telegram.wait_for(lambda n=n: texts(telegram, chat) == [text] * n, LIMIT_S)

    assert [call.method for call in telegram.calls if call.status == 429] == []
    assert len(telegram.calls_of("editMessageText")) > 8


async def test_a_wrong_token_is_one_line_that_does_not_show_it(
    telegram: FakeTelegram, tmp_path: Path
) -> None:
    wrong = f"{TOKEN[:-5]}wrong"
    with pytest.raises(ConfigError) as caught:
        async with running(telegram, tmp_path, token=wrong):
            pass

    assert wrong not in caught.value.line()
    assert wrong.partition(":")[2] not in repr(caught.value.__context__)


async def test_nothing_that_is_logged_has_the_token(telegram: FakeTelegram, tmp_path: Path) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    with capture_logs() as logs:
        telegram.fail("getUpdates", cut=True)
        telegram.fail("sendMessage", status=500, body=f"no such page: /bot{TOKEN}/sendMessage")
        async with running(telegram, tmp_path):
            await telegram.say(chat, anna, "hello")
            await telegram.wait_for(lambda: texts(telegram, chat) == ["hello"], LIMIT_S)

    assert any(one["event"] == "updates_not_fetched" for one in logs)
    assert TOKEN not in repr(logs)
    assert TOKEN.partition(":")[2] not in repr(logs)

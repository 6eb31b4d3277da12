"""Updates and calls that go wrong on the fake Telegram, as python-telegram-bot meets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from fake_telegram_parts import KEYS, TOKEN, connected, texts
from telegram import Bot, ReplyParameters
from telegram.error import BadRequest, NetworkError, RetryAfter, TimedOut

from botkit.testing.clock import ManualClock
from botkit.testing.telegram import Chat, FakeTelegram, Flood, User


@pytest.fixture
def telegram() -> FakeTelegram:
    return FakeTelegram()


@pytest.fixture
async def bot(telegram: FakeTelegram) -> AsyncIterator[Bot]:
    async with connected(telegram) as bot:
        yield bot


@pytest.fixture
def ann(telegram: FakeTelegram) -> User:
    return telegram.user("Ann")


@pytest.fixture
def chat(bot: Bot, telegram: FakeTelegram, ann: User) -> Chat:
    return telegram.private(ann)


# Updates


async def test_an_update_comes_twice_in_one_batch(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    telegram.duplicate_next()
    for text in ("one", "two"):
        await telegram.say(chat, ann, text)

    updates = await bot.get_updates()

    assert texts(updates) == ["one", "one", "two"]
    assert updates[0].update_id == updates[1].update_id


async def test_an_update_comes_again_though_it_was_confirmed(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    await telegram.say(chat, ann, "one")
    (first,) = await bot.get_updates()
    await bot.get_updates(offset=first.update_id + 1)

    telegram.deliver_again()

    (again,) = await bot.get_updates(offset=first.update_id + 1)
    assert again.update_id == first.update_id
    assert list(await bot.get_updates(offset=first.update_id + 1)) == []


async def test_a_poll_whose_client_was_killed_takes_nothing_with_it(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    await telegram.say(chat, ann, "one")
    (first,) = await bot.get_updates()
    await bot.get_updates(offset=first.update_id + 1)
    address = urlsplit(telegram.base_url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    n_polls = len(telegram.calls_of("getUpdates"))
    writer.write(f"GET /bot{TOKEN}/getUpdates?timeout=30 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await telegram.wait_for(lambda: len(telegram.calls_of("getUpdates")) > n_polls)

    writer.transport.abort()
    await bot.get_me()  # by the time it is answered, the server knows of the end
    telegram.deliver_again()

    (again,) = await bot.get_updates(offset=first.update_id + 1)
    assert again.update_id == first.update_id


async def test_two_updates_come_in_the_wrong_order(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    telegram.swap_next()
    for text in ("one", "two", "three"):
        await telegram.say(chat, ann, text)

    updates = await bot.get_updates()

    assert texts(updates) == ["two", "one", "three"]
    assert updates[0].update_id > updates[1].update_id


async def test_a_poison_update_cannot_be_read_by_the_library(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    telegram.poison()

    with pytest.raises(Exception, match=r".") as raised:
        await bot.get_updates()

    assert isinstance(raised.value, TypeError | KeyError | AttributeError | ValueError)


async def test_an_unknown_update_has_its_content_beside_the_known_kinds(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    update_id = telegram.unknown_update()

    (update,) = await bot.get_updates()

    assert update.update_id == update_id
    assert "brand_new_thing" in update.api_kwargs


async def test_update_ids_can_jump_down(telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User) -> None:
    await telegram.say(chat, ann, "one")
    (first,) = await bot.get_updates()
    await bot.get_updates(offset=first.update_id + 1)

    telegram.jump_update_ids(-1000)
    await telegram.say(chat, ann, "two")

    (second,) = await bot.get_updates()
    assert second.update_id < first.update_id


async def test_updates_are_kept_for_a_day() -> None:
    clock = ManualClock()
    telegram = FakeTelegram(clock)
    async with connected(telegram) as bot:
        ann = telegram.user("Ann")
        chat = telegram.private(ann)
        await telegram.say(chat, ann, "old")
        await clock.advance(23 * 3600)
        await telegram.say(chat, ann, "new")
        assert texts(await bot.get_updates()) == ["old", "new"]

        await clock.advance(2 * 3600)

        assert texts(await bot.get_updates()) == ["new"]


async def test_an_edit_of_a_person_is_told_and_a_deletion_is_not(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    asked = await telegram.say(chat, ann, "helo")
    await telegram.edit(chat, asked, "hello")
    await telegram.remove(chat, asked)

    said, edited = await bot.get_updates()

    assert said.message is not None
    assert edited.edited_message is not None
    assert (edited.edited_message.message_id, edited.edited_message.text) == (asked, "hello")
    with pytest.raises(BadRequest, match="Message to be replied not found"):
        await bot.send_message(chat.id, "too late", reply_parameters=ReplyParameters(asked))


# Calls


async def test_only_so_many_calls_fail_after_so_many_that_went_well(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    telegram.fail("sendMessage", status=429, retry_after=7, skip=1, times=2)

    await bot.send_message(chat.id, "first")
    for _ in range(2):
        with pytest.raises(RetryAfter) as raised:
            await bot.send_message(chat.id, "refused")
        assert getattr(raised.value.retry_after, "seconds", raised.value.retry_after) == 7
    await bot.send_message(chat.id, "last")

    assert [message.text for message in telegram.answers(chat)] == ["first", "last"]


async def test_a_fault_may_be_of_one_chat_only(telegram: FakeTelegram, bot: Bot, chat: Chat) -> None:
    group = telegram.group("Garden")
    telegram.fail("*", status=500, chat=group)

    await bot.send_message(chat.id, "well")
    with pytest.raises(NetworkError, match="Internal Server Error"):
        await bot.send_message(group.id, "not so well")


async def test_a_call_is_held_after_its_effect(telegram: FakeTelegram, bot: Bot, chat: Chat) -> None:
    gate = telegram.hold("sendMessage", after_effect=True)
    sending = asyncio.create_task(bot.send_message(chat.id, "there already"))

    await telegram.wait_for(lambda: gate.n_held == 1)

    assert [message.text for message in telegram.answers(chat)] == ["there already"]
    assert not sending.done()
    gate.open()
    assert (await sending).text == "there already"


async def test_an_answer_comes_too_late_though_the_message_is_there(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    telegram.slow("sendMessage", 30, after_effect=True)

    with pytest.raises(TimedOut):
        await bot.send_message(chat.id, "there", read_timeout=0.05)

    assert [message.text for message in telegram.answers(chat)] == ["there"]


async def test_a_poll_that_waits_is_cut_when_the_platform_goes_down(telegram: FakeTelegram, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await telegram.wait_for(lambda: telegram.calls_of("getUpdates"))

    await telegram.stop()

    with pytest.raises(NetworkError) as raised:
        await poll
    assert not isinstance(raised.value, BadRequest)


async def test_flood_control_asks_to_wait_and_then_lets_through() -> None:
    clock = ManualClock()
    telegram = FakeTelegram(clock, flood=Flood(group_burst=2, group_per_s=0.1))
    async with connected(telegram) as bot:
        garden, kitchen = telegram.group("Garden"), telegram.group("Kitchen")
        sent = await bot.send_message(garden.id, "one")
        await bot.edit_message_text("one, edited", garden.id, sent.message_id)

        with pytest.raises(RetryAfter) as raised:
            await bot.send_message(garden.id, "too soon")
        await bot.send_message(kitchen.id, "another chat")
        await clock.advance(10)
        await bot.send_message(garden.id, "two")

        assert getattr(raised.value.retry_after, "seconds", raised.value.retry_after) == 10
        assert [message.text for message in telegram.answers(garden)] == ["one, edited", "two"]


async def test_a_press_and_a_draft_expire() -> None:
    clock = ManualClock()
    telegram = FakeTelegram(clock)
    async with connected(telegram) as bot:
        ann = telegram.user("Ann")
        chat = telegram.private(ann)
        await bot.send_message(chat.id, "...", reply_markup=KEYS)
        press = await telegram.press(telegram.answers(chat)[0], "stop:1", ann)
        await bot.send_message_draft(chat.id, 1, "half")

        await clock.advance(31)

        with pytest.raises(BadRequest, match="too old"):
            await bot.answer_callback_query(press.id)
        assert press.answer is None
        assert telegram.draft(chat) is None
        assert [draft.text for draft in chat.drafts] == ["half"]

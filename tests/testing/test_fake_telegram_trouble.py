"""What can be made to go wrong on the fake Telegram, as python-telegram-bot meets it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

os.environ.setdefault("PTB_TIMEDELTA", "1")

import pytest
from aiohttp import web
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, ReplyParameters, Update
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, NetworkError, RetryAfter, TimedOut
from telegram.request import HTTPXRequest

from botkit.testing.clock import ManualClock
from botkit.testing.telegram import Chat, FakeTelegram, Flood, User

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


def texts(updates: tuple[Update, ...]) -> list[str | None]:
    return [update.effective_message.text for update in updates if update.effective_message is not None]


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


# Chats


async def test_a_bot_that_is_blocked_is_told_and_may_not_write(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    telegram.block(chat)

    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(chat.id, "hello?")
    (update,) = await bot.get_updates()
    assert update.my_chat_member is not None
    assert update.my_chat_member.new_chat_member.status == "kicked"
    telegram.unblock(chat)
    await bot.send_message(chat.id, "hello again")


async def test_a_group_that_became_a_supergroup_is_refused_under_its_old_id(
    telegram: FakeTelegram, bot: Bot
) -> None:
    group = telegram.group("Garden", supergroup=False)

    moved = telegram.migrate(group)

    with pytest.raises(ChatMigrated) as raised:
        await bot.send_message(group.id, "hello")
    assert raised.value.new_chat_id == moved.id
    await bot.send_message(moved.id, "hello")
    old, new = await bot.get_updates()
    assert old.message is not None
    assert new.message is not None
    assert (old.message.migrate_to_chat_id, new.message.migrate_from_chat_id) == (moved.id, group.id)


async def test_an_answer_stays_in_its_topic(telegram: FakeTelegram, bot: Bot, ann: User) -> None:
    forum = telegram.group("Garden", topics=True)
    roses, weeds = telegram.topic(forum, "Roses"), telegram.topic(forum, "Weeds")
    asked = await telegram.say(forum, ann, "which?", topic=roses)

    await bot.send_message(forum.id, "these", message_thread_id=roses.id)
    await bot.send_message(forum.id, "those", reply_parameters=ReplyParameters(asked))
    telegram.delete_topic(forum, roses)
    telegram.close_topic(forum, weeds)

    sent = [message for message in telegram.messages(forum, deleted=True) if message.from_bot]
    assert [message.topic for message in sent] == [roses.id, roses.id]
    for topic, reason in ((roses, "Message thread not found"), (weeds, "Topic_closed")):
        with pytest.raises(BadRequest, match=reason):
            await bot.send_message(forum.id, "too late", message_thread_id=topic.id)


async def test_a_chain_of_replies_has_a_thread_id_that_nothing_can_be_sent_to(
    telegram: FakeTelegram, bot: Bot, ann: User
) -> None:
    group = telegram.group("Garden")
    first = await telegram.say(group, ann, "one")
    await telegram.say(group, ann, "two", reply_to=first)

    _, reply = await bot.get_updates()

    assert reply.message is not None
    assert (reply.message.message_thread_id, reply.message.is_topic_message) == (first, None)
    with pytest.raises(BadRequest, match="Message thread not found"):
        await bot.send_message(group.id, "x", message_thread_id=first)


async def test_a_bot_that_does_not_read_all_sees_what_is_meant_for_it(
    telegram: FakeTelegram, bot: Bot, ann: User
) -> None:
    other = telegram.add_bot("456:shy", "shybot", reads_all=False)
    group = telegram.group("Garden")
    sent = await bot.send_message(group.id, "from another bot")
    for text in ("nothing", "@shybot hello", "/help"):
        await telegram.say(group, ann, text)
    await telegram.say(group, ann, "to the other", reply_to=sent.message_id)

    seen = [update["message"]["text"] for update in other.updates.pending]

    assert seen == ["@shybot hello", "/help"]
    assert len(await bot.get_updates()) == 4


async def test_bots_have_updates_and_private_chats_of_their_own(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    other = telegram.add_bot("456:other", "otherbot")
    with_other = telegram.private(ann, other)
    await telegram.say(chat, ann, "to the first")
    await telegram.say(with_other, ann, "to the other")
    await telegram.say(telegram.group("Garden"), ann, "to both")

    await bot.send_message(chat.id, "from the first")

    assert with_other.id == chat.id
    assert texts(await bot.get_updates()) == ["to the first", "to both"]
    assert [update["message"]["text"] for update in other.updates.pending] == ["to the other", "to both"]
    assert telegram.answers(with_other) == []


async def test_the_general_topic_has_no_id_that_can_be_sent_to(telegram: FakeTelegram, bot: Bot) -> None:
    forum = telegram.group("Garden", topics=True)

    await bot.send_message(forum.id, "in general")

    assert telegram.answers(forum)[0].topic is None
    with pytest.raises(BadRequest, match="Message thread not found"):
        await bot.send_message(forum.id, "in general", message_thread_id=1)


async def test_a_draft_can_be_stopped_where_the_bot_asked_for_it(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    await bot.get_updates(allowed_updates=["message", "stopped_message_generation"])
    await bot.send_message_draft(chat.id, 9, "half", api_kwargs={"can_stop": True})

    await telegram.press_stop(chat)

    (update,) = await bot.get_updates()
    assert update.api_kwargs["stopped_message_generation"]["draft_id"] == 9


async def test_an_inline_query_is_answered(telegram: FakeTelegram, bot: Bot, ann: User) -> None:
    query_id = await telegram.ask_inline(ann, "roses")
    (update,) = await bot.get_updates()
    assert update.inline_query is not None

    await bot.answer_inline_query(update.inline_query.id, [])

    assert telegram.inline_results(query_id) == []


# Webhook


@asynccontextmanager
async def hooked(answers: list[web.Response], got: list[tuple[str, int]]) -> AsyncIterator[str]:
    """Serve a webhook that gives *answers* in turn, then 200; give its address."""

    async def take(request: web.Request) -> web.Response:
        secret = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        got.append((secret, (await request.json())["update_id"]))
        return answers.pop(0) if answers else web.Response()

    async with serving(take) as address:
        yield address


@asynccontextmanager
async def serving(take: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Serve *take* as a webhook; give its address."""
    application = web.Application()
    application.router.add_post("/hook", take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def test_a_webhook_gets_updates_in_order_and_again_until_it_takes_them(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    got: list[tuple[str, int]] = []
    async with hooked([web.Response(status=403), web.Response(status=500)], got) as address:
        await telegram.say(chat, ann, "one")
        await bot.set_webhook(address, secret_token="s3cret")
        await telegram.say(chat, ann, "two")

        await telegram.wait_for(lambda: len(got) == 4)

        first = got[0][1]
        assert got == [("s3cret", first)] * 3 + [("s3cret", first + 1)]
        info = await bot.get_webhook_info()
        assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
        with pytest.raises(Conflict, match="webhook is active"):
            await bot.get_updates()
        await bot.delete_webhook()
        assert (await bot.get_webhook_info()).url == ""


async def test_a_webhook_that_takes_too_long_gets_the_update_again() -> None:
    telegram = FakeTelegram(webhook_timeout_s=0.1)
    got: list[int] = []

    async def take(request: web.Request) -> web.Response:
        got.append((await request.json())["update_id"])
        if len(got) == 1:
            await asyncio.Event().wait()
        return web.Response()

    async with connected(telegram) as bot, serving(take) as address:
        ann = telegram.user("Ann")
        await bot.set_webhook(address)
        await telegram.say(telegram.private(ann), ann, "hello")

        await telegram.wait_for(lambda: len(got) == 2)

        assert got[0] == got[1]
        assert (await bot.get_webhook_info()).last_error_message == "Connection timed out"


async def test_a_webhook_ends_the_poll_that_waits(telegram: FakeTelegram, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await telegram.wait_for(lambda: telegram.calls_of("getUpdates"))

    await bot.set_webhook("https://example.org/hook")

    with pytest.raises(Conflict, match="terminated by setWebhook"):
        await poll


async def test_a_webhook_may_answer_with_a_method(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    answer = web.json_response({"method": "sendMessage", "chat_id": chat.id, "text": "at once"})
    async with hooked([answer], []) as address:
        await bot.set_webhook(address)
        await telegram.say(chat, ann, "hello")

        await telegram.wait_for(lambda: telegram.answers(chat))

    assert [message.text for message in telegram.answers(chat)] == ["at once"]


async def test_a_webhook_must_be_secure_unless_it_is_on_this_machine(bot: Bot) -> None:
    with pytest.raises(BadRequest, match=r"(?i)an https url must be provided"):
        await bot.set_webhook("http://example.org/hook")

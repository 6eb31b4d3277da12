"""Chats, topics, drafts and several bots on the fake Telegram, as python-telegram-bot meets them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fake_telegram_parts import connected, texts
from telegram import Bot, ReplyParameters
from telegram.error import BadRequest, ChatMigrated, Forbidden

from botkit.testing.telegram import Chat, FakeTelegram, User


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

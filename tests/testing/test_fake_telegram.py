"""The fake Bot API server, driven by the unmodified python-telegram-bot."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

os.environ.setdefault("PTB_TIMEDELTA", "1")

import httpx
import pytest
from telegram import (
    Bot,
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    MessageEntity,
    ReplyParameters,
)
from telegram.error import BadRequest, Conflict, EndPointNotFound, InvalidToken, NetworkError, TelegramError
from telegram.request import HTTPXRequest

from botkit.testing.telegram import Chat, FakeTelegram, User

TOKEN = "123:token"
KEYS = InlineKeyboardMarkup([[InlineKeyboardButton("Stop", callback_data="stop:1")]])


@pytest.fixture
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as telegram:
        telegram.add_bot(TOKEN)
        yield telegram


@pytest.fixture
async def bot(telegram: FakeTelegram) -> AsyncIterator[Bot]:
    async with client(telegram) as bot:
        yield bot


@pytest.fixture
def ann(telegram: FakeTelegram) -> User:
    return telegram.user("Ann")


@pytest.fixture
def chat(telegram: FakeTelegram, ann: User) -> Chat:
    return telegram.private(ann)


def client(telegram: FakeTelegram, token: str = TOKEN) -> Bot:
    return Bot(
        token,
        base_url=telegram.base_url,
        base_file_url=telegram.base_file_url,
        request=HTTPXRequest(connection_pool_size=8),
    )


async def refusal(work: object) -> str:
    with pytest.raises(BadRequest) as raised:
        await work  # type: ignore[misc]
    return raised.value.message


async def test_a_bot_learns_who_it_is(bot: Bot) -> None:
    assert (bot.id, bot.username, bot.bot.is_bot) == (123, "testbot", True)


async def test_a_wrong_token_and_an_unknown_method_are_refused(telegram: FakeTelegram, bot: Bot) -> None:
    stranger = client(telegram, "9:nobody")
    with pytest.raises(InvalidToken):
        await stranger.initialize()
    await stranger.shutdown()
    for request in stranger._request:  # the library closes only what was initialized wholly
        await request.shutdown()
    with pytest.raises(EndPointNotFound):
        await bot.do_api_request("sendRichMessage", api_kwargs={"chat_id": 1})


async def test_what_a_person_writes_is_an_update_that_the_library_can_read(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    first = await telegram.say(chat, ann, "/start@testbot \N{GRINNING FACE} @testbot")
    await telegram.say(chat, ann, "and you?", reply_to=first)

    said, answered = await bot.get_updates()

    assert said.message is not None
    assert answered.message is not None
    kinds = [(entity.type, text) for entity, text in said.message.parse_entities().items()]
    assert kinds == [("bot_command", "/start@testbot"), ("mention", "@testbot")]
    assert answered.message.reply_to_message is not None
    assert answered.message.reply_to_message.message_id == first
    assert said.effective_user is not None
    assert said.effective_user.first_name == "Ann"


async def test_updates_come_again_until_a_higher_offset_confirms_them(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    for text in ("one", "two", "three"):
        await telegram.say(chat, ann, text)

    first, second, third = await bot.get_updates()
    again = await bot.get_updates(offset=second.update_id)
    none = await bot.get_updates(offset=third.update_id + 1)

    assert [update.update_id for update in again] == [second.update_id, third.update_id]
    assert list(none) == []
    assert [update.update_id for update in (second, third)] == [first.update_id + 1, first.update_id + 2]


async def test_a_limit_and_a_negative_offset_are_kept_to(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    for text in ("one", "two", "three"):
        await telegram.say(chat, ann, text)

    (oldest,) = await bot.get_updates(limit=1)
    (newest,) = await bot.get_updates(offset=-1)
    left = await bot.get_updates()

    assert oldest.message is not None
    assert oldest.message.text == "one"
    assert newest.message is not None
    assert newest.message.text == "three"
    assert [update.update_id for update in left] == [newest.update_id]


async def test_a_long_poll_returns_as_soon_as_something_comes(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await telegram.wait_for(lambda: telegram.calls_of("getUpdates"))

    await telegram.say(chat, ann, "hello")

    (update,) = await asyncio.wait_for(poll, 5)
    assert update.message is not None
    assert update.message.text == "hello"


async def test_of_two_pollers_the_older_one_is_told_to_go(telegram: FakeTelegram, bot: Bot) -> None:
    older = asyncio.create_task(bot.get_updates(timeout=30))
    await telegram.wait_for(lambda: telegram.calls_of("getUpdates"))

    async with client(telegram) as second:
        newer = asyncio.create_task(second.get_updates(timeout=30))
        with pytest.raises(Conflict, match="terminated by other getUpdates"):
            await older
        newer.cancel()


async def test_only_the_kinds_asked_for_are_made(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    await bot.get_updates(allowed_updates=["callback_query"])
    await telegram.say(chat, ann, "not seen")
    assert list(await bot.get_updates()) == []

    await bot.get_updates(allowed_updates=[])
    await telegram.say(chat, ann, "seen")
    assert len(await bot.get_updates()) == 1


async def test_a_message_is_shown_with_all_that_came_with_it(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    asked = await telegram.say(chat, ann, "hello?")

    sent = await bot.send_message(
        chat.id,
        "\N{GRINNING FACE} bold",
        entities=[MessageEntity("bold", 3, 4)],
        reply_parameters=ReplyParameters(asked),
        reply_markup=KEYS,
    )

    (shown,) = telegram.answers(chat)
    assert (shown.id, shown.text, shown.reply_to) == (sent.message_id, "\N{GRINNING FACE} bold", asked)
    assert shown.entities == [{"type": "bold", "offset": 3, "length": 4}]
    assert [(button.text, button.data) for button in shown.buttons] == [("Stop", "stop:1")]
    assert sent.parse_entities() == {sent.entities[0]: "bold"}
    assert sent.reply_markup == KEYS


async def test_what_cannot_be_sent_is_refused_in_the_platforms_words(bot: Bot, chat: Chat) -> None:
    assert await refusal(bot.send_message(-5, "x")) == "Chat not found"
    assert await refusal(bot.send_message(chat.id, " \n")) == "Message text is empty"
    assert await refusal(bot.send_message(chat.id, "x" * 4095 + "\N{GRINNING FACE}")) == "Message is too long"
    assert (await bot.send_message(chat.id, "x" * 4094 + "\N{GRINNING FACE}")).text
    reply = ReplyParameters(77)
    assert await refusal(bot.send_message(chat.id, "x", reply_parameters=reply)) == (
        "Message to be replied not found"
    )
    assert await refusal(bot.send_message(chat.id, "x", message_thread_id=5)) == "Message thread not found"
    too_far = [MessageEntity("bold", 0, 3)]
    assert "after the end" in await refusal(bot.send_message(chat.id, "ab", entities=too_far))
    torn = [MessageEntity("bold", 1, 1)]
    assert "middle" in await refusal(bot.send_message(chat.id, "\N{GRINNING FACE}", entities=torn))


async def test_an_edit_makes_a_version_and_the_same_again_is_refused(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    sent = await bot.send_message(chat.id, "...", reply_markup=KEYS)

    await bot.edit_message_text("done", chat.id, sent.message_id)

    (shown,) = telegram.answers(chat)
    assert [version.text for version in shown.edits] == ["...", "done"]
    assert shown.buttons == []
    same = bot.edit_message_text("done ", chat.id, sent.message_id)
    assert (await refusal(same)).startswith("Message is not modified: specified new message content")
    await bot.edit_message_reply_markup(chat.id, sent.message_id, reply_markup=KEYS)
    assert [button.data for button in shown.buttons] == ["stop:1"]


async def test_only_messages_of_the_bot_that_are_there_can_be_edited(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    asked = await telegram.say(chat, ann, "mine")
    sent = await bot.send_message(chat.id, "to go")

    await bot.delete_message(chat.id, sent.message_id)

    assert [message.text for message in telegram.messages(chat)] == ["mine"]
    assert await refusal(bot.edit_message_text("x", chat.id, asked)) == "Message can't be edited"
    gone = bot.edit_message_text("x", chat.id, sent.message_id)
    assert await refusal(gone) == "Message to edit not found"
    assert await refusal(bot.delete_message(chat.id, sent.message_id)) == "Message to delete not found"


async def test_a_draft_is_shown_in_private_until_a_message_comes(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    await bot.send_message_draft(chat.id, 7, "half an ans")
    shown = telegram.draft(chat)
    await bot.send_message(chat.id, "half an answer")

    assert shown is not None
    assert (shown.id, shown.text) == (7, "half an ans")
    assert telegram.draft(chat) is None
    group = telegram.group("Garden")
    assert await refusal(bot.send_message_draft(group.id, 7, "x")) == "Textdraft_peer_invalid"


async def test_a_press_of_a_button_is_answered(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    await bot.send_message(chat.id, "...", reply_markup=KEYS)
    press = await telegram.press(telegram.answers(chat)[0], "Stop", ann)

    (update,) = await bot.get_updates()
    assert update.callback_query is not None
    assert update.callback_query.data == "stop:1"
    await update.callback_query.answer("Stopped.")

    assert press.answer == "Stopped."
    assert "too old" in await refusal(bot.answer_callback_query("1"))


async def test_the_command_menu_is_kept_by_scope_and_language(bot: Bot) -> None:
    await bot.set_my_commands([BotCommand("help", "What I can do")])

    assert await bot.get_my_commands() == (BotCommand("help", "What I can do"),)
    assert await bot.get_my_commands(language_code="de") == ()
    assert await refusal(bot.set_my_commands([BotCommand("Wrong!", "x")])) == "Bot_command_invalid"


async def test_files_go_both_ways(telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User) -> None:
    await telegram.say_file(chat, ann, "notes.txt", b"from Ann", caption="look")
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.document is not None

    fetched = await (await update.message.document.get_file()).download_as_bytearray()
    await bot.send_document(chat.id, b"from the bot", filename="answer.md", caption="here")

    assert (update.message.caption, bytes(fetched)) == ("look", b"from Ann")
    (sent,) = telegram.answers(chat)
    assert sent.file is not None
    assert (sent.file.name, sent.file.content, sent.text) == ("answer.md", b"from the bot", "here")


async def test_typing_is_a_call_that_leaves_nothing(telegram: FakeTelegram, bot: Bot, chat: Chat) -> None:
    await bot.send_chat_action(chat.id, "typing")

    assert telegram.messages(chat) == []
    assert [call.params["action"] for call in telegram.calls_of("sendChatAction")] == ["typing"]
    assert "wrong parameter action" in (await refusal(bot.send_chat_action(chat.id, "dancing"))).lower()


async def test_marks_of_html_and_markdown_become_entities(
    telegram: FakeTelegram, bot: Bot, chat: Chat
) -> None:
    html = '<b>bold <i>both</i></b> &lt;3 <pre><code class="language-py">x</code></pre>'
    await bot.send_message(chat.id, html, parse_mode="HTML")
    await bot.send_message(chat.id, r"*bold* _it_ `a*b` [t](http://x.y) 3 \* 4\.", parse_mode="MarkdownV2")

    first, second = telegram.answers(chat)
    assert first.text == "bold both <3 x"
    assert [(e["type"], e["offset"], e["length"]) for e in first.entities] == [
        ("bold", 0, 9),
        ("italic", 5, 4),
        ("pre", 13, 1),
    ]
    assert first.entities[2]["language"] == "py"
    assert second.text == "bold it a*b t 3 * 4."
    assert [e["type"] for e in second.entities] == ["bold", "italic", "code", "text_link"]


@pytest.mark.parametrize(
    ("mode", "text", "reason"),
    [
        ("HTML", "<b>open", 'Can\'t find end tag corresponding to start tag "b"'),
        ("HTML", "a </b>", "Unexpected end tag at byte offset 2"),
        ("HTML", "<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("HTML", "\N{GRINNING FACE}<table>", 'Unsupported start tag "table" at byte offset 4'),
        ("MarkdownV2", "well.", "Character '.' is reserved and must be escaped with the preceding '\\'"),
        ("MarkdownV2", "*open", "Can't find end of Bold entity at byte offset 0"),
        ("MarkdownV2", "x ```py", "Can't find end of Pre entity at byte offset 2"),
        ("Fancy", "x", "unsupported parse_mode"),
    ],
)
async def test_mistakes_in_marks_are_named(bot: Bot, chat: Chat, mode: str, text: str, reason: str) -> None:
    assert reason.lower() in (await refusal(bot.send_message(chat.id, text, parse_mode=mode))).lower()


async def test_a_fault_comes_before_or_after_the_effect(telegram: FakeTelegram, bot: Bot, chat: Chat) -> None:
    telegram.fail("sendMessage", status=502, body="<html>Bad Gateway</html>")
    with pytest.raises(NetworkError):
        await bot.send_message(chat.id, "never there")
    telegram.fail("sendMessage", cut=True, after_effect=True)
    with pytest.raises(NetworkError):
        await bot.send_message(chat.id, "there")
    telegram.fail("sendMessage", cut=True)
    with pytest.raises(NetworkError):
        await bot.send_message(chat.id, "never there")

    assert [message.text for message in telegram.answers(chat)] == ["there"]
    assert [call.status for call in telegram.calls_of("sendMessage")] == [502, 0, 0]


async def test_a_platform_that_was_down_has_forgotten_nothing(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    await telegram.say(chat, ann, "hello")
    await telegram.stop()
    with pytest.raises(TelegramError):
        await bot.get_me()
    await telegram.start()

    async with client(telegram) as later:
        (update,) = await later.get_updates()
    assert update.message is not None
    assert update.message.text == "hello"


async def test_methods_are_taken_in_any_case_and_parameters_in_any_form(
    telegram: FakeTelegram, chat: Chat
) -> None:
    async with httpx.AsyncClient(base_url=telegram.base_url + TOKEN + "/") as raw:
        by_query = await raw.get("SENDMESSAGE", params={"chat_id": chat.id, "text": "query"})
        by_json = await raw.post("sendmessage", json={"chat_id": chat.id, "text": "json"})
        wrong = await raw.post("sendMessage", content="{", headers={"Content-Type": "application/json"})

    assert by_query.json()["ok"]
    assert by_json.json()["result"]["text"] == "json"
    assert wrong.json() == {
        "ok": False,
        "error_code": 400,
        "description": "Bad Request: can't parse JSON object",
    }

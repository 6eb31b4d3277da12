"""The methods of the Bot API that the fake knows, and those that are about the bot and its chats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botkit.testing.telegram import messages
from botkit.testing.telegram.account import Account, Hook
from botkit.testing.telegram.params import Params
from botkit.testing.telegram.refusal import bad_request
from botkit.testing.telegram.world import Chat, Json, User, World

Method = Callable[[World, Account, Params], Any]

COMMAND = re.compile(r"[a-z0-9_]{1,32}")
MAX_COMMANDS = 100
SECRET = re.compile(r"[A-Za-z0-9_-]{0,256}")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def get_me(world: World, bot: Account, params: Params) -> Json:
    """Return the bot's account."""
    return bot.to_api()


def set_my_commands(world: World, bot: Account, params: Params) -> bool:
    """Replace the command menu of a scope and language."""
    commands = params.objects("commands", "commands") or []
    if len(commands) > MAX_COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    for one in commands:
        if not COMMAND.fullmatch(str(one.get("command", "")).removeprefix("/")):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(str(one.get("description", ""))) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    bot.commands[_menu(params)] = commands
    return True


def get_my_commands(world: World, bot: Account, params: Params) -> list[Json]:
    """Return the command menu of a scope and language."""
    return bot.commands.get(_menu(params), [])


def delete_my_commands(world: World, bot: Account, params: Params) -> bool:
    """Take the command menu of a scope and language away."""
    bot.commands.pop(_menu(params), None)
    return True


def _menu(params: Params) -> str:
    scope = params.data("scope", dict, "scope") or {"type": "default"}
    return json.dumps([scope, params.text("language_code")], sort_keys=True)


def set_webhook(world: World, bot: Account, params: Params) -> bool:
    """Have updates sent to an address; an empty one goes back to getUpdates."""
    url, secret = params.text("url"), params.text("secret_token")
    parts = urlsplit(url)
    if url and parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if not SECRET.fullmatch(secret):
        raise bad_request("secret token contains unallowed characters")
    bot.updates.allow(params.strings("allowed_updates", "allowed updates"))
    if params.flag("drop_pending_updates"):
        bot.updates.drop_all()
    bot.hook = Hook(url, secret, params.integer("max_connections") or 40)
    if url:
        bot.updates.interrupt()
    return True


def delete_webhook(world: World, bot: Account, params: Params) -> bool:
    """Go back to getUpdates."""
    if params.flag("drop_pending_updates"):
        bot.updates.drop_all()
    bot.hook = Hook()
    return True


def get_webhook_info(world: World, bot: Account, params: Params) -> Json:
    """Return how the webhook is doing."""
    shown: Json = {
        "url": bot.hook.url,
        "has_custom_certificate": False,
        "pending_update_count": len(bot.updates.pending),
    }
    if bot.hook.url:
        shown["max_connections"] = bot.hook.max_connections
    if bot.hook.last_error:
        shown.update(last_error_message=bot.hook.last_error, last_error_date=bot.hook.last_error_at)
    return shown


def get_file(world: World, bot: Account, params: Params) -> Json:
    """Return where a file can be fetched."""
    file = world.files.get(params.text("file_id"))
    if file is None:
        raise bad_request("invalid file_id")
    if len(file.content) > 20 * 2**20:
        raise bad_request("file is too big")
    return {**file.to_api(), "file_path": file.path}


def get_chat(world: World, bot: Account, params: Params) -> Json:
    """Return a chat."""
    chat = world.seen_by(bot.user, params.chat_id)
    return {**chat.to_api(), "accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": _NO_GIFTS}


_NO_GIFTS = dict.fromkeys(
    ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
)


def get_chat_member(world: World, bot: Account, params: Params) -> Json:
    """Return what somebody is in a chat."""
    chat = world.seen_by(bot.user, params.chat_id)
    user_id = params.needed_integer("user_id", "invalid user_id specified")
    known = {message.sender.id: message.sender for message in chat.messages.values()}
    known[bot.user.id] = bot.user
    if user_id not in known and user_id not in chat.admins:
        raise bad_request("PARTICIPANT_ID_INVALID")
    return _member(chat, known.get(user_id, User(user_id, "Somebody")))


def get_chat_administrators(world: World, bot: Account, params: Params) -> list[Json]:
    """Return who may do more than others in a group."""
    chat = world.seen_by(bot.user, params.chat_id)
    if chat.is_private:
        raise bad_request("there are no administrators in the private chat")
    known = {message.sender.id: message.sender for message in chat.messages.values()}
    return [_member(chat, known.get(one, User(one, "Somebody"))) for one in sorted(chat.admins)]


def _member(chat: Chat, user: User) -> Json:
    if user.id not in chat.admins:
        return {"status": "member", "user": user.to_api()}
    return {"status": "creator", "user": user.to_api(), "is_anonymous": False}


def create_forum_topic(world: World, bot: Account, params: Params) -> Json:
    """Open a topic in a forum, or in a private chat that has them."""
    chat = world.seen_by(bot.user, params.chat_id)
    if not chat.is_forum:
        raise bad_request("the chat is not a forum")
    name = params.text("name")
    if not 1 <= len(name) <= 128:
        raise bad_request("TOPIC_TITLE_EMPTY")
    topic = world.new_topic(chat, bot.user, name)
    return {"message_thread_id": topic.id, "name": name, "icon_color": 7322096}


def set_message_reaction(world: World, bot: Account, params: Params) -> bool:
    """React to a message."""
    chat = world.seen_by(bot.user, params.chat_id)
    message = chat.messages.get(params.needed_integer("message_id"))
    if message is None or message.deleted:
        raise bad_request("message to react not found")
    return True


def answer_inline_query(world: World, bot: Account, params: Params) -> bool:
    """Answer what somebody types after the bot's name."""
    query_id = params.text("inline_query_id")
    if query_id not in bot.answered_inline:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    bot.answered_inline[query_id] = params.objects("results", "inline query results") or []
    return True


METHODS: dict[str, Method] = {
    "getMe": get_me,
    "sendMessage": messages.send_message,
    "sendDocument": messages.send_document,
    "sendPhoto": messages.send_photo,
    "sendChatAction": messages.send_chat_action,
    "sendMessageDraft": messages.send_message_draft,
    "editMessageText": messages.edit_message_text,
    "editMessageCaption": messages.edit_message_caption,
    "editMessageReplyMarkup": messages.edit_message_reply_markup,
    "deleteMessage": messages.delete_message,
    "answerCallbackQuery": messages.answer_callback_query,
    "answerInlineQuery": answer_inline_query,
    "setMyCommands": set_my_commands,
    "getMyCommands": get_my_commands,
    "deleteMyCommands": delete_my_commands,
    "setWebhook": set_webhook,
    "deleteWebhook": delete_webhook,
    "getWebhookInfo": get_webhook_info,
    "getFile": get_file,
    "getChat": get_chat,
    "getChatMember": get_chat_member,
    "getChatAdministrators": get_chat_administrators,
    "createForumTopic": create_forum_topic,
    "setMessageReaction": set_message_reaction,
}
"""By name; getUpdates is the server's own, for it waits."""

BY_LOWER_NAME = {name.lower(): name for name in METHODS}


def known_name(name: str) -> str | None:
    """Return how the method *name* is spelled, or None: names are taken in any case."""
    return "getUpdates" if name.lower() == "getupdates" else BY_LOWER_NAME.get(name.lower())

"""The methods that write, change and delete messages."""

from __future__ import annotations

import re

from botkit.testing.telegram.account import CALLBACK_LIFETIME_S, Account
from botkit.testing.telegram.content import MAX_CAPTION_UNITS, checked_length, marked_text, markup
from botkit.testing.telegram.params import Params, Upload
from botkit.testing.telegram.refusal import bad_request
from botkit.testing.telegram.world import Chat, Draft, Json, Message, StoredFile, Version, World

ACTIONS = re.compile(
    r"typing|choose_sticker|find_location|(upload|record)_(photo|video|voice|document|video_note)"
)
MAX_FILE_BYTES = 50 * 2**20
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)


def send_message(world: World, bot: Account, params: Params) -> Json:
    """Write a text message."""
    chat = world.seen_by(bot.user, params.chat_id)
    text, entities = marked_text(params)
    if not text:
        raise bad_request("message text is empty")
    checked_length(text, "message is too long")
    return _sent(world, bot, params, chat, Version(text, entities, markup(params))).to_api()


def send_document(world: World, bot: Account, params: Params) -> Json:
    """Write a message with a file."""
    return _send_file(world, bot, params, "document").to_api()


def send_photo(world: World, bot: Account, params: Params) -> Json:
    """Write a message with a picture."""
    return _send_file(world, bot, params, "photo").to_api()


def _send_file(world: World, bot: Account, params: Params, name: str) -> Message:
    chat = world.seen_by(bot.user, params.chat_id)
    given = params.upload(name)
    if given is None:
        raise bad_request(f"there is no {name} in the request")
    caption, entities = marked_text(params, "caption", "caption_entities")
    checked_length(caption, "message caption is too long", MAX_CAPTION_UNITS)
    version = Version(caption, entities, markup(params))
    return _sent(world, bot, params, chat, version, _stored(world, given), is_photo=name == "photo")


def _stored(world: World, given: Upload | str) -> StoredFile:
    if isinstance(given, str):
        if given not in world.files:
            raise bad_request("wrong file identifier/HTTP URL specified")
        return world.files[given]
    if not given.content:
        raise bad_request("file must be non-empty")
    if len(given.content) > MAX_FILE_BYTES:
        raise bad_request("file is too big")
    return world.new_file(given.name, given.content, given.mime_type)


def _sent(
    world: World,
    bot: Account,
    params: Params,
    chat: Chat,
    version: Version,
    file: StoredFile | None = None,
    *,
    is_photo: bool = False,
) -> Message:
    reply_to = _reply_target(chat, params)
    topic = _topic(chat, params, reply_to)
    chat.shown_drafts.pop(topic, None)
    return world.new_message(
        chat, bot.user, version, reply_to=reply_to, topic=topic, file=file, is_photo=is_photo
    )


def _reply_target(chat: Chat, params: Params) -> int | None:
    wanted = Params(params.data("reply_parameters", dict, "reply parameters") or {})
    target = wanted.integer("message_id") or params.integer("reply_to_message_id")
    if target is None:
        return None
    replied = chat.messages.get(target)
    if replied is None or replied.deleted:
        if wanted.flag("allow_sending_without_reply") or params.flag("allow_sending_without_reply"):
            return None
        raise bad_request("message to be replied not found")
    return replied.id


def _topic(chat: Chat, params: Params, reply_to: int | None = None) -> int | None:
    wanted = params.integer("message_thread_id")
    if not wanted:
        return chat.messages[reply_to].topic if reply_to is not None else None
    topic = chat.topics.get(wanted)
    if topic is None:
        raise bad_request("message thread not found")
    if topic.closed:
        raise bad_request("TOPIC_CLOSED")
    return topic.id


def edit_message_text(world: World, bot: Account, params: Params) -> Json:
    """Change a text message of the bot's; buttons that are not given again are taken away."""
    message = _own(world, bot, params)
    text, entities = marked_text(params)
    if not text:
        raise bad_request("message text is empty")
    checked_length(text, "MESSAGE_TOO_LONG")
    if message.file is not None:
        raise bad_request("there is no text in the message to edit")
    return _edited(world, message, Version(text, entities, markup(params)))


def edit_message_caption(world: World, bot: Account, params: Params) -> Json:
    """Change the caption of a file of the bot's."""
    message = _own(world, bot, params)
    caption, entities = marked_text(params, "caption", "caption_entities")
    checked_length(caption, "MEDIA_CAPTION_TOO_LONG", MAX_CAPTION_UNITS)
    if message.file is None:
        raise bad_request("there is no caption in the message to edit")
    return _edited(world, message, Version(caption, entities, markup(params)))


def edit_message_reply_markup(world: World, bot: Account, params: Params) -> Json:
    """Change the buttons under a message of the bot's."""
    message = _own(world, bot, params)
    return _edited(world, message, Version(message.text, message.now.entities, markup(params)))


def _own(world: World, bot: Account, params: Params) -> Message:
    chat = world.seen_by(bot.user, params.chat_id)
    message_id = params.needed_integer("message_id", "message identifier is not specified")
    message = chat.messages.get(message_id)
    if message is None or message.deleted:
        raise bad_request("message to edit not found")
    if message.sender is not bot.user or message.service:
        raise bad_request("message can't be edited")
    return message


def _edited(world: World, message: Message, version: Version) -> Json:
    now = message.now
    if (now.text, now.entities, now.markup) == (version.text, version.entities, version.markup):
        raise bad_request(NOT_MODIFIED)
    message.edits.append(Version(version.text, version.entities, version.markup, world.clock.now()))
    return message.to_api()


def delete_message(world: World, bot: Account, params: Params) -> bool:
    """Take a message away: the bot's own, or anybody's in a private chat or where the bot is an admin."""
    chat = world.seen_by(bot.user, params.chat_id)
    message = chat.messages.get(params.needed_integer("message_id", "message identifier is not specified"))
    if message is None or message.deleted:
        raise bad_request("message to delete not found")
    if message.sender is not bot.user and not chat.is_private and bot.user.id not in chat.admins:
        raise bad_request("message can't be deleted")
    message.deleted = True
    return True


def send_chat_action(world: World, bot: Account, params: Params) -> bool:
    """Show for some 5 s what the bot is doing."""
    chat = world.seen_by(bot.user, params.chat_id)
    if not ACTIONS.fullmatch(params.text("action")):
        raise bad_request("wrong parameter action in request")
    _topic(chat, params)
    return True


def send_message_draft(world: World, bot: Account, params: Params) -> bool:
    """Show for 30 s what the bot is writing, in a private chat; an empty text says that it thinks."""
    chat = world.seen_by(bot.user, params.chat_id)
    if not chat.is_private:  # the words of these two refusals are not published
        raise bad_request("TEXTDRAFT_PEER_INVALID")
    draft_id = params.integer("draft_id")
    if not draft_id:
        raise bad_request("TEXTDRAFT_ID_INVALID")
    text, entities = marked_text(params)
    checked_length(text, "message is too long")
    topic = _topic(chat, params)
    at_s = world.clock.monotonic()
    draft = Draft(draft_id, text, topic, at_s, entities, params.flag("can_stop"))
    chat.drafts.append(draft)
    chat.shown_drafts[topic] = draft
    return True


def answer_callback_query(world: World, bot: Account, params: Params) -> bool:
    """Take the waiting sign off a button that was pressed a moment ago."""
    press = bot.presses.get(params.text("callback_query_id"))
    if press is None or world.clock.monotonic() - press.at_s > CALLBACK_LIFETIME_S:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    press.answer = checked_length(params.text("text"), "MESSAGE_TOO_LONG", 200)
    press.alert = params.flag("show_alert")
    return True

"""People, chats and messages, as Telegram's servers know them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botkit.protocols import Clock
from botkit.testing.telegram.refusal import Refused, bad_request

Json = dict[str, Any]

FIRST_USER_ID = 1001
FIRST_GROUP_ID = -2001
FIRST_SUPERGROUP_ID = -1_001_600_000_001


@dataclass(eq=False)
class User:
    """An account: a person or a bot."""

    id: int
    name: str
    username: str = ""
    is_bot: bool = False

    def to_api(self) -> Json:
        """Return the account as the API shows it."""
        shown: Json = {"id": self.id, "is_bot": self.is_bot, "first_name": self.name}
        return {**shown, "username": self.username} if self.username else shown


@dataclass(frozen=True)
class StoredFile:
    """A file on the platform."""

    id: str
    name: str
    content: bytes = field(repr=False)
    mime_type: str = "application/octet-stream"

    @property
    def path(self) -> str:
        """Where it is fetched from, below the address of the bot's files."""
        return f"documents/{self.id}"

    def to_api(self) -> Json:
        """Return the file as the API shows it."""
        shown = {"file_id": self.id, "file_unique_id": f"u{self.id}", "file_size": len(self.content)}
        return {**shown, "file_name": self.name, "mime_type": self.mime_type}


@dataclass(frozen=True)
class Button:
    """A button under a message."""

    text: str
    data: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Version:
    """A message as it stood for a while."""

    text: str
    entities: tuple[Json, ...] = ()
    markup: Json | None = None
    at: datetime | None = None


@dataclass(eq=False)
class Message:
    """A message of a chat, with all that it has said."""

    id: int
    chat: Chat
    sender: User
    edits: list[Version]
    reply_to: int | None = None
    topic: int | None = None
    file: StoredFile | None = None
    is_photo: bool = False
    service: Json = field(default_factory=dict)
    deleted: bool = False

    @property
    def from_bot(self) -> bool:
        """Whether a bot wrote it."""
        return self.sender.is_bot

    @property
    def now(self) -> Version:
        """The message as it stands."""
        return self.edits[-1]

    @property
    def text(self) -> str:
        """Its text (or caption) as it stands."""
        return self.now.text

    @property
    def entities(self) -> list[Json]:
        """What is marked in the text, as the API shows it."""
        return list(self.now.entities)

    @property
    def markup(self) -> Json | None:
        """The reply markup as the API shows it."""
        return self.now.markup

    @property
    def buttons(self) -> list[Button]:
        """The buttons under it, row by row."""
        rows = (self.markup or {}).get("inline_keyboard", [])
        return [Button(b["text"], b.get("callback_data"), b.get("url")) for row in rows for b in row]

    def to_api(self, *, nested: bool = False) -> Json:
        """Return the message as the API shows it; *nested* without what it replies to."""
        first, last = self.edits[0], self.edits[-1]
        shown: Json = {
            "message_id": self.id,
            "from": self.sender.to_api(),
            "chat": self.chat.to_api(),
            "date": _seconds(first.at),
            **self.service,
            **self._content(),
        }
        if len(self.edits) > 1:
            shown["edit_date"] = _seconds(last.at)
        shown.update(self._thread())
        if last.markup is not None and "inline_keyboard" in last.markup:
            shown["reply_markup"] = last.markup
        replied = self.chat.messages.get(self.reply_to or 0)
        if replied is not None and not replied.deleted and not nested:
            shown["reply_to_message"] = replied.to_api(nested=True)
        return shown

    def _content(self) -> Json:
        text, entities = ("text", "entities") if self.file is None else ("caption", "caption_entities")
        shown: Json = {text: self.text} if self.text else {}
        if self.entities:
            shown[entities] = self.entities
        if self.file is not None and self.is_photo:
            size = {"width": 90, "height": 90}
            shown["photo"] = [{**self.file.to_api(), **size}]
        elif self.file is not None:
            shown["document"] = self.file.to_api()
        return shown

    def _thread(self) -> Json:
        if self.topic is not None:
            return {"message_thread_id": self.topic, "is_topic_message": True}
        if self.chat.kind == "supergroup" and not self.chat.is_forum and self.reply_to is not None:
            # A chain of replies is a thread as well, though nothing can be sent into it by that id.
            return {"message_thread_id": self.chat.root_of(self.reply_to)}
        return {}


@dataclass(frozen=True)
class Draft:
    """The preview of a message that a bot is still writing."""

    id: int
    text: str
    topic: int | None
    at_s: float
    entities: tuple[Json, ...] = ()
    can_stop: bool = False


@dataclass(eq=False)
class Topic:
    """A topic of a forum, or of a private chat."""

    id: int
    name: str
    closed: bool = False


@dataclass(eq=False)
class Chat:
    """A private chat of a person with one bot, or a group that bots are in."""

    id: int
    kind: str
    title: str
    is_forum: bool = False
    bot: User | None = None
    person: User | None = None
    messages: dict[int, Message] = field(default_factory=dict)
    topics: dict[int, Topic] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)
    shown_drafts: dict[int | None, Draft] = field(default_factory=dict)
    admins: set[int] = field(default_factory=set)
    refused_bots: set[int] = field(default_factory=set)
    moved_to: Chat | None = None

    @property
    def is_private(self) -> bool:
        """Whether it is one person's with a bot."""
        return self.kind == "private"

    def to_api(self) -> Json:
        """Return the chat as the API shows it."""
        if self.person is not None:
            shown: Json = {"id": self.id, "type": "private", "first_name": self.person.name}
            return {**shown, "username": self.person.username} if self.person.username else shown
        shown = {"id": self.id, "type": self.kind, "title": self.title}
        return {**shown, "is_forum": True} if self.is_forum else shown

    def root_of(self, message_id: int) -> int:
        """Return the first message of the chain of replies that *message_id* is in."""
        while (message := self.messages.get(message_id)) is not None and message.reply_to is not None:
            message_id = message.reply_to
        return message_id


class World:
    """Everything that the platform keeps, whatever happens to its bots."""

    def __init__(self, clock: Clock) -> None:
        """Begin empty; dates come from *clock*."""
        self.clock = clock
        self.chats: list[Chat] = []
        self.files: dict[str, StoredFile] = {}
        self._user_ids = itertools.count(FIRST_USER_ID)
        self._group_ids = itertools.count(FIRST_GROUP_ID, -1)
        self._supergroup_ids = itertools.count(FIRST_SUPERGROUP_ID, -1)
        self._file_ids = itertools.count(1)

    def new_user(self, name: str, username: str = "") -> User:
        """Return a new person."""
        return User(next(self._user_ids), name, username)

    def new_group(self, title: str, *, is_super: bool, is_forum: bool) -> Chat:
        """Return a new group."""
        ids = self._supergroup_ids if is_super else self._group_ids
        chat = Chat(next(ids), "supergroup" if is_super else "group", title, is_forum)
        self.chats.append(chat)
        return chat

    def private_chat(self, person: User, bot: User, *, has_topics: bool) -> Chat:
        """Return the chat of *person* with *bot*; its id is the person's."""
        for chat in self.chats:
            if chat.person is person and chat.bot is bot:
                return chat
        chat = Chat(person.id, "private", person.name, has_topics, bot, person)
        self.chats.append(chat)
        return chat

    def new_message(self, chat: Chat, sender: User, version: Version, **rest: Any) -> Message:
        """Put a message into *chat* and return it; ids begin at 1 in each chat."""
        now = Version(version.text, version.entities, version.markup, self.clock.now())
        message = Message(len(chat.messages) + 1, chat, sender, [now], **rest)
        chat.messages[message.id] = message
        return message

    def new_topic(self, chat: Chat, sender: User, name: str) -> Topic:
        """Open a topic in *chat*; its id is that of the message which says so."""
        made = {"forum_topic_created": {"name": name, "icon_color": 7322096}}
        message = self.new_message(chat, sender, Version(""), service=made)
        message.topic = message.id
        topic = Topic(message.id, name)
        chat.topics[topic.id] = topic
        return topic

    def new_file(self, name: str, content: bytes, mime_type: str) -> StoredFile:
        """Keep a file and return it."""
        file = StoredFile(f"file{next(self._file_ids)}", name, content, mime_type)
        self.files[file.id] = file
        return file

    def seen_by(self, bot: User, chat_id: int | str) -> Chat:
        """Return the chat that *bot* means; raises Refused where it may not write there."""
        chat = next((c for c in self._chats_of(bot) if str(c.id) == str(chat_id)), None)
        if chat is None:
            raise bad_request("chat not found")
        if chat.moved_to is not None:
            reason = "group chat was upgraded to a supergroup chat"
            raise bad_request(reason, migrate_to_chat_id=chat.moved_to.id)
        if bot.id in chat.refused_bots:
            blocked = (
                "bot was blocked by the user"
                if chat.is_private
                else f"bot was kicked from the {chat.kind} chat"
            )
            raise Refused(403, f"Forbidden: {blocked}")
        return chat

    def _chats_of(self, bot: User) -> Iterator[Chat]:
        return (chat for chat in self.chats if chat.bot is None or chat.bot is bot)


def _seconds(at: datetime | None) -> int:
    return int(at.timestamp()) if at is not None else 0

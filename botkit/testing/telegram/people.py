"""What people do on the platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botkit.testing.telegram.account import Account, Press
from botkit.testing.telegram.content import found_entities
from botkit.testing.telegram.platform import Platform
from botkit.testing.telegram.world import Chat, Draft, Json, Message, Topic, User, Version

DRAFT_LIFETIME_S = 30.0


class People(Platform):
    """Persons, their chats, and what they write, press and delete."""

    def user(self, name: str, username: str = "") -> User:
        """Return a new person."""
        return self._world.new_user(name, username)

    def private(self, user: User, bot: Account | None = None, *, topics: bool = False) -> Chat:
        """Return the private chat of *user* with *bot* (the first one), already started."""
        return self._world.private_chat(user, (bot or self._first_bot()).user, has_topics=topics)

    def group(
        self, title: str, *, topics: bool = False, supergroup: bool = True, admins: Sequence[User] = ()
    ) -> Chat:
        """Return a new group with every bot in it; *topics* makes it a forum."""
        chat = self._world.new_group(title, is_super=supergroup or topics, is_forum=topics)
        chat.admins.update(user.id for user in admins)
        return chat

    def topic(self, chat: Chat, name: str, user: User | None = None) -> Topic:
        """Open a topic in *chat*; bots are told."""
        made = self._world.new_topic(chat, user or self._somebody(chat), name)
        self._tell(chat, "message", chat.messages[made.id])
        return made

    def _somebody(self, chat: Chat) -> User:
        return chat.person or self._world.new_user("Owner")

    async def say(
        self,
        chat: Chat,
        user: User,
        text: str,
        *,
        reply_to: int | None = None,
        topic: Topic | int | None = None,
        entities: Sequence[Json] | None = None,
    ) -> int:
        """Let *user* write in *chat*; return the message's id."""
        found = found_entities(text) if entities is None else tuple(entities)
        return self._said(chat, user, Version(text, found), reply_to, topic)

    async def say_file(
        self,
        chat: Chat,
        user: User,
        name: str,
        content: bytes,
        *,
        caption: str = "",
        mime_type: str = "text/plain",
        reply_to: int | None = None,
        topic: Topic | int | None = None,
    ) -> int:
        """Let *user* send a file, or a picture if *mime_type* is of one; return the message's id."""
        file = self._world.new_file(name, content, mime_type)
        version = Version(caption, found_entities(caption))
        photo = mime_type.startswith("image/")
        return self._said(chat, user, version, reply_to, topic, file=file, is_photo=photo)

    def _said(
        self,
        chat: Chat,
        user: User,
        version: Version,
        reply_to: int | None,
        topic: Topic | int | None,
        **rest: Any,
    ) -> int:
        thread = topic.id if isinstance(topic, Topic) else topic
        if thread is None and reply_to is not None:
            thread = chat.messages[reply_to].topic
        message = self._world.new_message(chat, user, version, reply_to=reply_to, topic=thread, **rest)
        self._tell(chat, "message", message)
        return message.id

    async def edit(self, chat: Chat, message_id: int, text: str) -> None:
        """Let a person change a message of theirs; bots get ``edited_message``."""
        message = chat.messages[message_id]
        message.edits.append(Version(text, found_entities(text), message.markup, self.clock.now()))
        self._tell(chat, "edited_message", message)

    async def remove(self, chat: Chat, message_id: int) -> None:
        """Delete a message; as on the platform no bot is told."""
        chat.messages[message_id].deleted = True
        self._bell.ring()

    async def press(self, message: Message, button: str, user: User) -> Press:
        """Let *user* press the button under *message* that has this data or label; raises LookupError."""
        found = next((b for b in message.buttons if button in (b.data, b.text) and b.data is not None), None)
        if found is None or found.data is None:
            raise LookupError(f"no button {button!r} under message {message.id}")
        account = self._account_of(message.sender)
        press = Press(str(next(self._ids) + 4_000_000_000), found.data, self.clock.monotonic())
        account.presses[press.id] = press
        query = {"id": press.id, "from": user.to_api(), "message": message.to_api(), "data": found.data}
        account.updates.put("callback_query", {**query, "chat_instance": str(message.chat.id)})
        return press

    async def press_stop(self, chat: Chat) -> Draft:
        """Press the stop button of the draft in *chat*; raises LookupError where there is none."""
        draft = self.draft(chat)
        if draft is None or not draft.can_stop or chat.bot is None:
            raise LookupError(f"no draft that can be stopped in chat {chat.id}")
        stopped: Json = {"chat": chat.to_api(), "draft_id": draft.id}
        if draft.topic is not None:
            stopped["message_thread_id"] = draft.topic
        self._account_of(chat.bot).updates.put("stopped_message_generation", stopped)
        return draft

    async def ask_inline(self, user: User, query: str, bot: Account | None = None) -> str:
        """Let *user* type *query* after the bot's name, anywhere; return the query's id."""
        account = bot or self._first_bot()
        query_id = str(next(self._ids) + 5_000_000_000)
        account.answered_inline[query_id] = None
        account.updates.put(
            "inline_query", {"id": query_id, "from": user.to_api(), "query": query, "offset": ""}
        )
        return query_id

    def draft(self, chat: Chat, topic: int | None = None) -> Draft | None:
        """Return the draft that *chat* shows, or None: it goes after 30 s, or when a message comes."""
        draft = chat.shown_drafts.get(topic)
        gone = draft is None or self.clock.monotonic() - draft.at_s > DRAFT_LIFETIME_S
        return None if gone else draft

"""What is read of a raw update.  Everything else in it is left alone, so new fields change nothing."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """A part of an update; a missing or mistyped field that is needed raises ValidationError."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class RawUser(Shape):
    """An account."""

    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""

    @property
    def name(self) -> str:
        """Return how people call it."""
        return f"{self.first_name} {self.last_name}".strip() or self.username


class RawChat(Shape):
    """A chat; ``type`` is private, group, supergroup or channel."""

    id: int
    type: str = ""
    title: str = ""


class RawEntity(Shape):
    """A marked part of a text; offset and length are in UTF-16 code units."""

    type: str
    offset: int
    length: int
    user: RawUser | None = None


class RawMessage(Shape):
    """A message.  ``date`` is a Unix time in seconds."""

    message_id: int
    chat: RawChat
    date: datetime
    sender: RawUser | None = Field(default=None, alias="from")
    sender_chat: RawChat | None = None
    is_automatic_forward: bool = False
    is_topic_message: bool = False
    message_thread_id: int | None = None
    text: str = ""
    caption: str = ""
    entities: tuple[RawEntity, ...] = ()
    caption_entities: tuple[RawEntity, ...] = ()
    reply_to_message: RawMessage | None = None
    forum_topic_created: dict[str, object] | None = None


class RawPress(Shape):
    """A press of a button.  ``message`` is missing for one under a message of the inline mode."""

    id: str
    sender: RawUser = Field(alias="from")
    message: RawMessage | None = None
    data: str = ""


class RawUpdate(Shape):
    """An update: one of these is there, or it is of a kind that nobody asked for."""

    update_id: int
    message: RawMessage | None = None
    callback_query: RawPress | None = None

"""The tables.  Values that can be read here are ids, times and counts; everything people wrote is sealed.

people 1--0..1 person_keys      the key that opens a person's text; forgetting deletes it
people 1--* conversations       the owner, who began it
conversations 1--* messages     what people said (also the inbox and the jobs), and the answers
cursors                         how far each platform has been read
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# SQLite counts rows only in a column that is exactly INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")
# Ids are never used twice, so a sealed text can never meet another row's key.
NEVER_REUSED = {"sqlite_autoincrement": True}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware in Python, UTC in the database.  Naive times are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return *value* in UTC; raises ValueError for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return *value* aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_IS_OPEN = text("state = 'open'")


class Base(DeclarativeBase):
    """All tables, with constraint names that migrations can rely on."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime, bytes: LargeBinary}  # noqa: RUF012


class PersonRow(Base):
    """Somebody who wrote: ``platform:account``.  ``name`` is sealed with the person's own key."""

    __tablename__ = "people"
    __table_args__ = (UniqueConstraint("platform", "account"), NEVER_REUSED)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    platform: Mapped[str] = mapped_column(String(64))
    account: Mapped[str] = mapped_column(String(255))
    name: Mapped[bytes | None]
    is_bot: Mapped[bool]
    first_seen_at: Mapped[datetime]


class PersonKeyRow(Base):
    """A person's key, wrapped by the master key, which is not in the database."""

    __tablename__ = "person_keys"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), unique=True)
    wrapped: Mapped[bytes]
    created_at: Mapped[datetime]


class ConversationRow(Base):
    """One conversation.  Turns up to and including ``start_after_id`` were left behind by a reset."""

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("platform", "bot", "chat", "thread"),
        Index("ix_conversations_owner_id_updated_at", "owner_id", "updated_at"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    platform: Mapped[str] = mapped_column(String(64))
    bot: Mapped[str] = mapped_column(String(255))
    chat: Mapped[str] = mapped_column(String(255))
    thread: Mapped[str] = mapped_column(String(255))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    title: Mapped[bytes | None]
    model: Mapped[str | None] = mapped_column(String(255))
    start_after_id: Mapped[int] = mapped_column(RowId)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class MessageRow(Base):
    """What somebody said, or the answer to it.

    Of a person (``role`` user): the row is the inbox entry, unique by the platform's event, and the job,
    whose ``state`` is open until it has its one outcome.  ``attempt`` counts how often work on it was begun.
    Of the bot (``role`` assistant): ``parent_id`` is the message it answers, ``attempt`` which try this was,
    ``state`` that try's outcome, or superseded.  ``person_id`` is whose key seals the text: the answer to
    somebody belongs to them.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("platform", "bot", "event_id"),
        UniqueConstraint("parent_id", "attempt"),
        CheckConstraint("role IN ('user', 'assistant')", name="role"),
        CheckConstraint(
            "state IN ('open', 'answered', 'refused', 'cancelled', 'failed', 'superseded')", name="state"
        ),
        Index("ix_messages_conversation_id_id", "conversation_id", "id"),
        Index("ix_messages_person_id", "person_id"),
        Index("ix_messages_open", "id", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int]
    text: Mapped[bytes]
    at: Mapped[datetime]
    stored_at: Mapped[datetime]

    # Of messages of people.
    platform: Mapped[str | None] = mapped_column(String(64))
    bot: Mapped[str | None] = mapped_column(String(255))
    event_id: Mapped[str | None] = mapped_column(String(255))
    reply_to: Mapped[str | None] = mapped_column(String(255))
    addressed: Mapped[bool]

    # Of answers.
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"))
    model: Mapped[str | None] = mapped_column(String(255))
    finish: Mapped[str | None] = mapped_column(String(16))
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    first_chunk_s: Mapped[float | None]
    total_s: Mapped[float | None]
    receipts: Mapped[list[str] | None] = mapped_column(JSON)


class CursorRow(Base):
    """How far a bot has read its platform: an update offset, a session to resume."""

    __tablename__ = "cursors"

    platform: Mapped[str] = mapped_column(String(64), primary_key=True)
    bot: Mapped[str] = mapped_column(String(255), primary_key=True)
    position: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime]

"""What the chat asks of the store, in the chat's own words.

Two transactions frame an exchange: ``append`` before the model is asked, ``record`` after the answer was
shown.  None is open in between.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from botkit.errors import StoreError
from botkit.protocols import Clock
from botkit.store import answers, cursors, jobs, personal
from botkit.store.database import Database
from botkit.store.history import (
    Head,
    answer_place,
    ensure_head,
    find_head,
    head_by_id,
    heads_of,
    read_turns,
    title_place,
)
from botkit.store.inbox import check_ids, take_in
from botkit.store.jobs import OpenMessage
from botkit.store.people import KnownPerson, ensure_person, person_by_id
from botkit.store.personal import Holdings, Record
from botkit.store.schema import ConversationRow, MessageRow, PersonKeyRow, PersonRow
from botkit.store.seal import KeyGoneError, Sealer
from botkit.types import Completion, Conversation, ConversationKey, Message, Outcome, Person, Turn

MAX_TURNS = 200
_TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Appended:
    """A stored message.  ``conversation`` ends with it; ``is_new`` is False for a second delivery."""

    is_new: bool
    message_id: int
    conversation: Conversation
    attempt: int = 1


class ConversationStore:
    """Messages, answers, conversations.  Uses the database it is given and does not close it."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        """Keep what the methods need; touches nothing yet."""
        self._database, self._sealer, self._clock = database, sealer, clock

    async def append(
        self, message: Message, *, cursor: str | None = None, max_turns: int = MAX_TURNS
    ) -> Appended:
        """Store *message* as an open job, once for each event, with its sender and its conversation.

        *cursor* is how far the platform has then been read; it is saved with the message.  The returned
        conversation has the newest *max_turns* turns up to the message.  Raises StoreError, and
        BadRequestError for ids that cannot be.
        """
        check_ids(message)
        now = self._clock.now()

        def work(session: Session) -> Appended:
            person = ensure_person(session, self._sealer, message.sender, now)
            head = self._ensure_owned(session, message, person, now)
            taken = take_in(session, message, head.id, person, now)
            if cursor is not None:
                key = message.conversation
                cursors.save_cursor(session, key.platform, key.bot, cursor, now)
            turns = read_turns(session, self._sealer, head, max_turns, taken.id)
            return Appended(taken.is_new, taken.id, head.with_turns(turns), taken.attempt)

        return await self._database.run(work)

    async def record(
        self,
        message_id: int,
        *,
        outcome: Outcome,
        text: str,
        completion: Completion | None = None,
        receipts: tuple[str, ...] = (),
        attempt: int | None = None,
    ) -> Turn:
        """Give the message its outcome and store what was shown for it: *text*, under *receipts*.

        A message has one outcome: a second call changes nothing and returns the first one's turn, and so does
        the call of an *attempt* that has been overtaken.  Raises StoreError when there is no such message, or
        its sender was forgotten meanwhile.
        """
        now = self._clock.now()

        def work(session: Session) -> Turn:
            asked = session.get(MessageRow, message_id)
            if asked is None or asked.role != "user":
                raise StoreError(f"there is no message {message_id} to answer")
            head = head_by_id(session, self._sealer, asked.conversation_id)
            if not jobs.finish(session, message_id, outcome, attempt):
                return self._answer(session, head, message_id)
            session.refresh(asked)
            measured = _measured(completion)
            answer_id = answers.keep(session, self._sealer, asked, outcome, text, receipts, measured, now)
            _touch(session, head.id, now)
            return Turn(answer_id, "assistant", text, head.key.bot, now)

        return await self._database.run(work)

    async def keep(
        self,
        message_id: int,
        *,
        attempt: int,
        receipts: tuple[str, ...] = (),
        text: str = "",
        outcome: Outcome | None = None,
        completion: Completion | None = None,
    ) -> bool:
        """Store what there is of an answer before its message gets its outcome; ``record`` ends it.

        While it is written: its *receipts*.  Before the final text is shown: *text* with the *outcome* it
        will have, so that a process which dies while showing it leaves the same text to show.  Returns False,
        and stores nothing, when the message has its outcome or *attempt* was overtaken.  Raises StoreError.
        """
        now = self._clock.now()

        def work(session: Session) -> bool:
            asked = session.get(MessageRow, message_id)
            if asked is None or (asked.state, asked.attempt) != ("open", attempt):
                return False
            state, measured = outcome or "open", _measured(completion)
            answers.keep(session, self._sealer, asked, state, text, receipts, measured, now)
            return True

        return await self._database.run(work)

    async def open_messages(self, platforms: Collection[str] | None = None) -> list[OpenMessage]:
        """Return the stored messages that have no outcome, oldest first, to be worked on after a start.

        With *platforms* only theirs: an answer to another could not be shown now.

        Each return counts as a new attempt, so that a message which kills the bot can be recognised.
        """
        now = self._clock.now()
        return await self._database.run(lambda session: jobs.take_up(session, self._sealer, now, platforms))

    async def history(self, message_id: int, *, max_turns: int = MAX_TURNS) -> Conversation:
        """Return the conversation of a stored message up to that message, which is the last turn.

        Raises StoreError when there is no such message.
        """
        return await self._database.run(lambda session: self._up_to(session, message_id, max_turns))

    async def conversation(self, key: ConversationKey, *, max_turns: int = MAX_TURNS) -> Conversation | None:
        """Return the conversation of *key* with its newest turns since the last reset, or None."""

        def work(session: Session) -> Conversation | None:
            head = find_head(session, self._sealer, key)
            if head is None:
                return None
            return head.with_turns(read_turns(session, self._sealer, head, max_turns))

        return await self._database.run(work)

    async def conversations(self, platform: str, bot: str, owner: str, limit: int = 50) -> list[Conversation]:
        """Return what the person *owner* (``platform:id``) began there, newest first, without turns."""

        def work(session: Session) -> list[Conversation]:
            heads = heads_of(session, self._sealer, platform, bot, owner, limit)
            return [head.with_turns() for head in heads]

        return await self._database.run(work)

    async def reset(self, key: ConversationKey) -> None:
        """Let the conversation begin anew: what was said so far stays stored, but is no turn any more.

        An answer that is still being written to an older message will be none either.
        """

        def work(session: Session) -> None:
            head = find_head(session, self._sealer, key)
            if head is None:
                return
            last = session.execute(
                select(func.max(MessageRow.id)).where(MessageRow.conversation_id == head.id)
            ).scalar()
            session.execute(
                update(ConversationRow).where(ConversationRow.id == head.id).values(start_after_id=last or 0)
            )

        await self._database.run(work)

    async def choose_model(self, key: ConversationKey, model: str | None) -> None:
        """Use *model* in the conversation from now on; None returns to the default."""
        now = self._clock.now()

        def work(session: Session) -> None:
            head = ensure_head(session, self._sealer, key, now)
            session.execute(update(ConversationRow).where(ConversationRow.id == head.id).values(model=model))

        await self._database.run(work)

    async def reopen_last(self, key: ConversationKey, *, max_turns: int = MAX_TURNS) -> Appended | None:
        """Open the last message that has an answer (or was cut short, or failed) for another try.

        Its answer stays stored as superseded.  Returns None when there is no such message since the reset.
        """

        def work(session: Session) -> Appended | None:
            head = find_head(session, self._sealer, key)
            message_id = jobs.reopen_last(session, head.id, head.start_after_id) if head else None
            if message_id is None:
                return None
            attempt = session.execute(
                select(MessageRow.attempt).where(MessageRow.id == message_id)
            ).scalar_one()
            return Appended(True, message_id, self._up_to(session, message_id, max_turns), attempt)

        return await self._database.run(work)

    async def cursor(self, platform: str, bot: str) -> str | None:
        """Return how far *bot* has read *platform*, as ``append`` saved it, or None."""
        return await self._database.run(lambda session: cursors.read_cursor(session, platform, bot))

    async def save_cursor(self, platform: str, bot: str, position: str) -> None:
        """Save how far *bot* has read *platform*, where no message was stored with it."""
        now = self._clock.now()
        await self._database.run(lambda session: cursors.save_cursor(session, platform, bot, position, now))

    async def holdings(self, person: Person) -> Holdings:
        """Return how much is kept of *person*."""
        return await self._database.run(
            lambda session: personal.holdings(session, person.platform, person.id)
        )

    async def records(self, person: Person) -> list[Record]:
        """Return all that is kept of *person*: what they said, and what they were answered."""

        def work(session: Session) -> list[Record]:
            return list(personal.records(session, self._sealer, person.platform, person.id))

        return await self._database.run(work)

    async def forget(self, person: Person) -> int:
        """Forget all that is kept of *person*, and their key; return how many messages that were."""
        return await self._database.run(lambda session: personal.forget(session, person.platform, person.id))

    async def check(self) -> None:
        """Raise StoreError unless the database can be written and our key opens what is in it."""

        def work(session: Session) -> None:
            # Writes a page without changing anything: a full disk shows here and not at the next message.
            session.execute(text("UPDATE alembic_version SET version_num = version_num"))
            found = session.execute(
                select(PersonKeyRow.id, PersonKeyRow.wrapped, PersonRow.platform, PersonRow.account)
                .join(PersonRow, PersonRow.id == PersonKeyRow.person_id)
                .limit(1)
            ).one_or_none()
            if found is not None:
                self._sealer.person_key(found.id, found.wrapped, f"{found.platform}:{found.account}")

        await self._database.run(work)

    def _ensure_owned(self, session: Session, message: Message, person: KnownPerson, now: datetime) -> Head:
        """Return the message's conversation, dated now, with an owner and a title."""
        title = " ".join(message.text.split())[:_TITLE_CHARACTERS]
        head = ensure_head(session, self._sealer, message.conversation, now, person, title)
        changed: dict[str, object] = {"updated_at": now}
        if head.owner_id is None:
            sealed = person.key.seal(title, title_place(message.conversation))
            changed |= {"owner_id": person.id, "title": sealed}
            head = replace(head, owner_id=person.id, title=title)
        session.execute(update(ConversationRow).where(ConversationRow.id == head.id).values(changed))
        return replace(head, updated_at=now)

    def _up_to(self, session: Session, message_id: int, max_turns: int) -> Conversation:
        found = session.execute(
            select(MessageRow.conversation_id).where(MessageRow.id == message_id, MessageRow.role == "user")
        ).scalar()
        if found is None:
            raise StoreError(f"there is no message {message_id}")
        head = head_by_id(session, self._sealer, found)
        return head.with_turns(read_turns(session, self._sealer, head, max_turns, message_id))

    def _answer(self, session: Session, head: Head, message_id: int) -> Turn:
        """Return the answer that stands for a message whose outcome is known."""
        row = session.execute(
            select(MessageRow)
            .where(MessageRow.parent_id == message_id, MessageRow.state != "superseded")
            .order_by(MessageRow.attempt.desc())
            .limit(1)
        ).scalar()
        if row is None:
            raise StoreError(f"message {message_id} is being answered anew, or its sender was forgotten")
        person = person_by_id(session, self._sealer, row.person_id, row.at)
        try:
            text = person.key.open(row.text, answer_place(head.id, message_id, row.attempt))
        except KeyGoneError:
            raise StoreError(f"the sender of message {message_id} was forgotten") from None
        return Turn(row.id, "assistant", text, head.key.bot, row.at)


def _touch(session: Session, conversation_id: int, now: datetime) -> None:
    session.execute(
        update(ConversationRow).where(ConversationRow.id == conversation_id).values(updated_at=now)
    )


def _measured(completion: Completion | None) -> dict[str, object]:
    if completion is None:
        return {}
    return {
        "model": completion.model,
        "finish": completion.finish,
        "prompt_tokens": completion.usage.prompt_tokens,
        "completion_tokens": completion.usage.completion_tokens,
        "cached_tokens": completion.usage.cached_tokens,
        "first_chunk_s": completion.first_chunk_s,
        "total_s": completion.total_s,
    }

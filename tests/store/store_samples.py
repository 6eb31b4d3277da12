"""Values that the store's tests share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from botkit.types import ConversationKey, Message, Person

START = datetime(2026, 1, 1, tzinfo=UTC)
ROOM = ConversationKey("discord", "bot", "room", "")
ANNA = Person("discord", "1", "Anna")


class TickingClock:
    """Each look at it is a second later."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def message(
    event_id: str,
    text: str = "hello",
    key: ConversationKey = ROOM,
    sender: Person = ANNA,
    reply_to: str | None = None,
) -> Message:
    return Message(event_id, key, sender, text, START, reply_to=reply_to)

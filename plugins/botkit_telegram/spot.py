"""Where on Telegram something was said: a message of a chat, perhaps in a topic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spot:
    """A message by its place.  Its event id has all of it, so that an answer finds back after a restart.

    Message ids are unique in their chat only.  ``press`` tells apart what buttons under the message say.
    """

    chat_id: int
    message_id: int
    thread_id: int | None = None
    press: str = ""

    @property
    def event_id(self) -> str:
        """Return the id under which the event is stored: never the same for two events."""
        return f"{self.chat_id}/{self.message_id}/{self.thread_id or ''}/{self.press}".rstrip("/")

    @classmethod
    def of_event(cls, event_id: str) -> Spot:
        """Return the place that ``event_id`` names; raises ValueError for what is no event id of ours."""
        chat_id, message_id, thread_id, press = [*event_id.split("/", 3), "", ""][:4]
        return cls(int(chat_id), int(message_id), int(thread_id) if thread_id else None, press)

    @property
    def is_private(self) -> bool:
        """Whether the chat is one person's with the bot: only those have positive ids."""
        return self.chat_id > 0

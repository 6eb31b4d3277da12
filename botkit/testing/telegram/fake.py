"""The fake platform as a test holds it."""

from __future__ import annotations

from collections.abc import Callable

from botkit.testing.telegram.people import People
from botkit.testing.telegram.trouble import Trouble
from botkit.testing.telegram.world import Chat, Json, Message


class FakeTelegram(People, Trouble):
    """A Bot API server on a loopback socket, with the people and chats behind it.

    ``async with`` opens and closes it.  ``Platform`` has what it is made with and how it is reached,
    ``People`` what is said and pressed, ``Trouble`` what can be made to go wrong.
    """

    def messages(self, chat: Chat, *, deleted: bool = False) -> list[Message]:
        """Return the messages of *chat* as they stand, with the *deleted* ones only if asked for."""
        return [m for m in chat.messages.values() if (deleted or not m.deleted) and not m.service]

    def answers(self, chat: Chat) -> list[Message]:
        """Return the messages of bots in *chat* as they stand."""
        return [message for message in self.messages(chat) if message.from_bot]

    async def wait_for(self, condition: Callable[[], object], timeout: float | None = 5.0) -> None:  # noqa: ASYNC109
        """Return once *condition* holds; raises TimeoutError after *timeout* real seconds, if there is one.

        It is asked again whenever something happens on the platform, so it may only be about that.
        """
        await self._bell.wait_for(condition, timeout)

    def inline_results(self, query_id: str) -> list[Json] | None:
        """Return what the bot answered to an inline query, or None so far."""
        found = (account.answered_inline.get(query_id) for account in self._server.accounts.values())
        return next((results for results in found if results is not None), None)

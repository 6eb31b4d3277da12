"""How often Telegram may be called: for each chat and for the whole bot, sends and edits together.

The platform publishes no exact limits; these are what its documentation suggests, and a ``retry_after`` that
it answers with is obeyed on top of them.
"""

from __future__ import annotations

from collections import OrderedDict

from aiolimiter import AsyncLimiter

from botkit.protocols import Clock

BOT_CALLS, BOT_PERIOD_S = 30, 1.0
PRIVATE_CALLS, PRIVATE_PERIOD_S = 20, 20.0
GROUP_CALLS, GROUP_PERIOD_S = 20, 60.0
RESERVE_CALLS = 8
"""What intermediate edits leave of a chat's budget for answers that begin and end."""
MAX_CHATS = 10_000


class _Chat:
    """The budget of one chat."""

    def __init__(self, chat_id: int) -> None:
        is_group = chat_id < 0
        calls, period_s = (GROUP_CALLS, GROUP_PERIOD_S) if is_group else (PRIVATE_CALLS, PRIVATE_PERIOD_S)
        self.limiter = AsyncLimiter(calls, period_s)
        self.paused_until_s = 0.0


class Budget:
    """Says when a call may be made.  One for each bot."""

    def __init__(self, clock: Clock) -> None:
        """Begin with everything allowed; pauses are measured by *clock*."""
        self._clock = clock
        self._bot = AsyncLimiter(BOT_CALLS, BOT_PERIOD_S)
        self._chats: OrderedDict[int, _Chat] = OrderedDict()

    async def spend(self, chat_id: int) -> None:
        """Return once a call that matters may be made in that chat; the call is counted."""
        chat = self._chat(chat_id)
        await chat.limiter.acquire()
        await self._bot.acquire()
        while (left_s := chat.paused_until_s - self._clock.monotonic()) > 0:
            await self._clock.sleep(left_s)

    async def spend_spare(self, chat_id: int) -> bool:
        """Tell whether a call that can be left out may be made in that chat at once; if so it is counted."""
        chat = self._chat(chat_id)
        has_room = chat.limiter.has_capacity(1 + RESERVE_CALLS) and self._bot.has_capacity()
        if self.is_paused(chat_id) or not has_room:
            return False
        await chat.limiter.acquire()
        await self._bot.acquire()
        return True

    def is_paused(self, chat_id: int) -> bool:
        """Tell whether the platform wants nothing more in that chat for now."""
        return self._chat(chat_id).paused_until_s > self._clock.monotonic()

    def pause(self, chat_id: int, seconds: float) -> None:
        """Let nothing more into that chat for *seconds*: the platform said so."""
        chat = self._chat(chat_id)
        chat.paused_until_s = max(chat.paused_until_s, self._clock.monotonic() + seconds)

    def _chat(self, chat_id: int) -> _Chat:
        chat = self._chats.setdefault(chat_id, _Chat(chat_id))
        self._chats.move_to_end(chat_id)
        if len(self._chats) > MAX_CHATS:
            self._chats.popitem(last=False)
        return chat

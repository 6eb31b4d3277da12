"""Sends updates to a bot's webhook: in order, each until it is taken."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from botkit.protocols import Clock
from botkit.testing.bell import Bell
from botkit.testing.telegram.account import Account, Hook
from botkit.testing.telegram.methods import known_name
from botkit.testing.telegram.params import Params
from botkit.testing.telegram.refusal import Refused
from botkit.testing.telegram.world import Json

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 5.0
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105

Answer = Callable[[Account, str, Params], Awaitable[Any]]


class WebhookSender:
    """Serves one bot's webhook whenever it has one; ``run`` until cancelled."""

    def __init__(self, bot: Account, clock: Clock, bell: Bell, answer: Answer, timeout_s: float) -> None:
        """Prepare; a method in a webhook's answer is done by *answer*."""
        self._bot, self._clock, self._bell, self._answer = bot, clock, bell, answer
        self._timeout_s = timeout_s

    async def run(self) -> None:
        """Send what waits, one at a time."""
        pause_s = FIRST_PAUSE_S
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                waiting = self._bot.updates.batch(1) if self._bot.hook.url else []
                if not waiting:
                    await self._bell.next_ring()
                elif await self._send(session, self._bot.hook, waiting[0]):
                    self._bot.updates.confirm(waiting[0]["update_id"] + 1)
                    self._bell.ring()
                    pause_s = FIRST_PAUSE_S
                else:
                    await self._clock.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _send(self, session: aiohttp.ClientSession, hook: Hook, update: Json) -> bool:
        """Send *update*; tell whether it was taken."""
        headers = {"Content-Type": "application/json"}
        if hook.secret:
            headers[SECRET_HEADER] = hook.secret
        try:
            async with session.post(hook.url, data=json.dumps(update), headers=headers) as response:
                answer = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._failed(
                hook, "Connection timed out" if isinstance(error, TimeoutError) else "Connection refused"
            )
            return False
        if response.status // 100 != 2:
            self._failed(hook, f"Wrong response from the webhook: {response.status} {response.reason}")
            return False
        await self._do(answer)
        return True

    def _failed(self, hook: Hook, reason: str) -> None:
        hook.last_error = reason
        hook.last_error_at = int(self._clock.now().timestamp())
        self._bell.ring()

    async def _do(self, answer: str) -> None:
        """Do what the webhook's answer asks for, if anything; how that went is told to nobody."""
        try:
            wanted = json.loads(answer)
        except ValueError:
            return
        method = known_name(str(wanted.pop("method", ""))) if isinstance(wanted, dict) else None
        if method is None or method == "getUpdates":
            return
        try:
            await self._answer(self._bot, method, Params(wanted))
        except Refused:
            return

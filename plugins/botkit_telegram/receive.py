"""Polling: updates are fetched as raw JSON, handed over one by one, and confirmed only after that.

Whatever ends the process in between, Telegram delivers again what was not confirmed, and the core knows what
it has already.  That is why no position is stored: Telegram keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import structlog
from telegram.error import Conflict, InvalidToken, RetryAfter

from botkit.errors import StoreError
from botkit.protocols import Clock
from botkit_telegram.client import Client
from botkit_telegram.failures import MISBEHAVIOUR, retry_after_s, wrong_token
from botkit_telegram.intake import Intake

log = structlog.get_logger(__name__)

POLL_S = 25
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 15.0)
CONFLICT_BACK_OFF_S = 5.0
STORE_BACK_OFF_S = 1.0


class Poller:
    """Fetches updates for as long as ``run`` runs."""

    def __init__(self, client: Client, intake: Intake, clock: Clock) -> None:
        """Fetch through *client*, hand over to *intake*."""
        self._client, self._intake, self._clock = client, intake, clock
        self._offset: int | None = None
        self._n_failed = 0
        self._in_conflict = False

    async def run(self) -> NoReturn:
        """Fetch until cancelled; only a token that Telegram knows no more raises, as ConfigError."""
        while True:
            for update in await self._fetch():
                if not await self._hand_over(update):
                    await self._clock.sleep(STORE_BACK_OFF_S)
                    break

    async def _fetch(self) -> Sequence[Any]:
        """Return the next updates in their order, none after a failure; confirm what was handed over."""
        try:
            updates = await self._client.updates(self._offset, POLL_S)
        except InvalidToken:
            raise wrong_token() from None
        except MISBEHAVIOUR as error:
            await self._clock.sleep(self._back_off_s(error))
            return ()
        # Ids begin anew at random after a quiet week, so an offset is for confirming, once.
        self._offset = None
        if updates and all(_id(update) is None for update in updates):
            log.warning("updates_without_id", n=len(updates))
            await self._clock.sleep(BACK_OFF_S[-1])
            return ()
        self._n_failed, self._in_conflict = 0, False
        return sorted(updates, key=lambda update: _id(update) or 0)

    async def _hand_over(self, update: Any) -> bool:
        """Hand *update* over; False when it could not be stored and must come again."""
        try:
            await self._intake.take(update)
        except StoreError as error:
            log.warning("update_not_stored", update_id=_id(update), error=error.line())
            return False
        update_id = _id(update)
        if update_id is not None:
            self._offset = update_id + 1
        return True

    def _back_off_s(self, error: Exception) -> float:
        """Log why nothing was fetched and return how long to wait, in seconds."""
        if isinstance(error, RetryAfter):
            return retry_after_s(error)
        line = self._client.translated(error, "getUpdates").line()
        if isinstance(error, Conflict):
            if not self._in_conflict:
                log.warning("another_poller_runs", error=line)
            self._in_conflict = True
            return CONFLICT_BACK_OFF_S
        back_off_s = BACK_OFF_S[min(self._n_failed, len(BACK_OFF_S) - 1)]
        log.warning("updates_not_fetched", error=line, back_off_s=back_off_s)
        self._n_failed += 1
        return back_off_s


def _id(update: Any) -> int | None:
    found = update.get("update_id") if isinstance(update, dict) else None
    return found if isinstance(found, int) else None

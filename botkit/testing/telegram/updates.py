"""What a bot has still to fetch, and what it has confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from botkit.protocols import Clock
from botkit.testing.bell import Bell
from botkit.testing.telegram.refusal import Refused
from botkit.testing.telegram.world import Json

FIRST_UPDATE_ID = 870_000_001
MAX_BATCH = 100
KEPT_S = 24 * 3600.0
HOOK_TOOK_OVER = "Conflict: terminated by setWebhook request"
UNASKED = frozenset(
    {"chat_member", "message_reaction", "message_reaction_count", "stopped_message_generation"}
)
"""The kinds that come only if ``allowed_updates`` names them."""


@dataclass(eq=False)
class Entry:
    """One update; one that is *forced* comes once more, whatever was confirmed."""

    update: Json
    at_s: float
    forced: bool = False

    @property
    def id(self) -> int:
        """The update's id."""
        return int(self.update["update_id"])


class UpdateQueue:
    """A bot's updates: kept until a higher offset confirms them, handed out again until then."""

    def __init__(self, clock: Clock, bell: Bell) -> None:
        """Begin empty, with every usual kind of update allowed."""
        self._clock, self._bell = clock, bell
        self._entries: list[Entry] = []
        self._next_id = FIRST_UPDATE_ID
        self._poller: object = None
        self._n_twice = 0
        self._swap: Entry | None = None
        self._swap_next = False
        self.allowed: frozenset[str] | None = None
        self._handed_out: dict[int, Json] = {}

    @property
    def pending(self) -> list[Json]:
        """The updates that nothing has confirmed yet."""
        return [entry.update for entry in self._entries]

    def allow(self, kinds: Collection[str] | None) -> None:
        """Make only *kinds* of updates from now on; None changes nothing, an empty list means the usual."""
        if kinds is not None:
            self.allowed = frozenset(kinds) or None

    def put(self, kind: str, content: Json) -> int | None:
        """Add an update of *kind*; return its id, or None where the bot does not want that kind."""
        wanted = kind in self.allowed if self.allowed is not None else kind not in UNASKED
        return self.put_raw({kind: content}) if wanted else None

    def put_raw(self, content: Json) -> int:
        """Add an update with *content* as it is, sensible or not; return its id."""
        entry = Entry({"update_id": self._next_id, **content}, self._clock.monotonic())
        self._next_id += 1
        self._add(entry)
        self._bell.ring()
        return entry.id

    def _add(self, entry: Entry) -> None:
        if self._swap_next:
            self._swap, self._swap_next = entry, False
            return
        self._entries.append(entry)
        if self._swap is not None:
            self._entries.append(self._swap)
            self._swap = None
        if self._n_twice:
            self._n_twice -= 1
            self._entries.append(entry)

    def twice(self, n: int) -> None:
        """Hand out each of the next *n* updates twice in one batch."""
        self._n_twice += n

    def swap(self) -> None:
        """Hand out the next two updates in the wrong order; the first waits for the second."""
        self._swap_next = True

    def again(self, n: int) -> None:
        """Hand out the last *n* updates once more under their old ids, though they are confirmed."""
        now_s = self._clock.monotonic()
        again = [Entry(update, now_s, forced=True) for update in list(self._handed_out.values())[-n:]]
        self._entries = [*again, *self._entries]
        self._bell.ring()

    def skip_ids(self, n: int) -> None:
        """Leave a gap of *n* in the ids; a negative one makes them smaller, as after a quiet week."""
        self._next_id += n

    def confirm(self, offset: int) -> None:
        """Forget what came before *offset*; a negative one keeps only that many of the newest."""
        if offset < 0:
            self._entries = self._entries[offset:]
        elif offset > 0:
            self._entries = [entry for entry in self._entries if entry.forced or entry.id >= offset]

    def drop_all(self) -> None:
        """Forget everything that waits."""
        self._entries.clear()

    def batch(self, limit: int) -> list[Json]:
        """Return the oldest *limit* updates, which stay until they are confirmed."""
        oldest_s = self._clock.monotonic() - KEPT_S
        self._entries = [entry for entry in self._entries if entry.at_s >= oldest_s]
        chosen = self._entries[:limit]
        self._entries = [entry for entry in self._entries if not (entry.forced and entry in chosen)]
        self._handed_out.update({entry.id: entry.update for entry in chosen})
        return [entry.update for entry in chosen]

    async def poll(
        self, offset: int, limit: int, timeout_s: float, is_connected: Callable[[], bool]
    ) -> list[Json]:
        """Confirm by *offset*, then return what waits, waiting for something up to *timeout_s*.

        Hands nothing to a client that has gone meanwhile.
        Raises Refused when a later poll of the same bot, or a webhook, takes over.
        """
        me = self._poller = object()
        self._bell.ring()
        self.confirm(offset)
        end = asyncio.ensure_future(self._clock.sleep(timeout_s))
        try:
            while self._poller is me and is_connected():
                found = self.batch(max(1, min(limit, MAX_BATCH)))
                if found or end.done():
                    return found
                await asyncio.wait({end, self._bell.next_ring()}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.cancel()
        if not is_connected():
            return []
        raise Refused(409, HOOK_TOOK_OVER if self._poller is None else "")

    def interrupt(self) -> None:
        """End the poll that waits: a webhook takes over."""
        self._poller = None
        self._bell.ring()

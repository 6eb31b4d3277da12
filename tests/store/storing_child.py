"""A process to be killed: stores and answers messages, and says each step only once it is committed.

    storing_child.py URL FOLDER FIRST POINT

It kills itself at POINT: in a transaction, after its commit before anybody is told, or never.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine
from store_samples import TickingClock, message

from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.seal import Sealer


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(engine: Engine, point: str) -> None:
    if point == "before_commit":
        event.listen(engine, "commit", die)
    elif point == "after_insert":

        @event.listens_for(engine, "after_cursor_execute")
        def after(_c: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("INSERT INTO messages"):
                die()

    elif point == "after_answer":

        @event.listens_for(engine, "after_cursor_execute")
        def answered(_c: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("UPDATE messages"):
                die()


async def main(url: str, folder: str, first: int, point: str) -> None:
    database = await Database.open(url)
    store = ConversationStore(database, Sealer.open(Path(folder), {}), TickingClock())
    waiting = [one.message.event_id for one in await store.open_messages()]
    print("open", *waiting, flush=True)
    if point == "look":
        await database.aclose()
        return

    async def exchange(n: int) -> None:
        stored = await store.append(message(f"e{n}", f"text {n}"))
        print("stored", f"e{n}", flush=True)
        if n % 2:
            await store.record(stored.message_id, outcome="answered", text=f"answer {n}")
            print("answered", f"e{n}", flush=True)

    for n in range(first, first + 3):
        await exchange(n)
    arm(database._runner._engine, point)
    await asyncio.gather(*(exchange(n) for n in range(first + 3, first + 200)))
    print("survived", flush=True)
    await asyncio.sleep(60)


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))

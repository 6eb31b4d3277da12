"""The store against a model of it in plain lists: any history of calls, restarts included, reads the same."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from store_samples import TickingClock, message

from botkit.errors import StoreError
from botkit.store.conversations import ConversationStore
from botkit.store.database import Database
from botkit.store.seal import Sealer
from botkit.types import Completion, ConversationKey, Person

CHATS = ("red", "blue")
PEOPLE = (Person("discord", "1", "Anna"), Person("discord", "2", "Ben"))
OUTCOMES = ("answered", "refused", "cancelled", "failed")
_bots = itertools.count()


@dataclass
class Row:
    """A stored message with its answers: (attempt, outcome, text), the standing one last."""

    event_id: str
    chat: str
    sender: Person
    text: str
    id: int = 0
    state: str = "open"
    attempt: int = 1
    after_reset: bool = True
    answers: list[tuple[int, str, str]] = field(default_factory=list)

    def turns(self) -> list[tuple[str, str, str]]:
        found = [("user", self.sender.name, self.text)] if self.state != "refused" else []
        if self.answers and self.state in ("answered", "cancelled") and self.answers[-1][2]:
            found.append(("assistant", "bot", self.answers[-1][2]))
        return found


class StoreMachine(RuleBasedStateMachine):
    """Each run talks to a bot of its own, so that all can share one database."""

    url: str
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.bot = f"bot{next(_bots)}"
        self.rows: list[Row] = []
        self.models: dict[str, str | None] = {}
        self.clock = TickingClock()
        self.open()

    def open(self) -> None:
        self.database = self.runner.run(Database.open(self.url))
        self.store = ConversationStore(self.database, Sealer.open(self.folder, {}), self.clock)

    def teardown(self) -> None:
        self.runner.run(self.database.aclose())
        self.runner.close()

    def key(self, chat: str) -> ConversationKey:
        return ConversationKey("discord", self.bot, chat)

    def of(self, chat: str) -> list[Row]:
        return [row for row in self.rows if row.chat == chat]

    def expected(self, rows: list[Row]) -> list[tuple[str, str, str]]:
        return [turn for row in rows if row.after_reset for turn in row.turns()]

    def said(self, conversation: Any) -> list[tuple[str, str, str]]:
        speakers = {"assistant": "bot"}
        return [(t.role, speakers.get(t.role, t.speaker), t.text) for t in conversation.turns]

    @rule(
        n=st.integers(0, 12),
        chat=st.sampled_from(CHATS),
        who=st.sampled_from(PEOPLE),
        text=st.text(max_size=9),
    )
    def append(self, n: int, chat: str, who: Person, text: str) -> None:
        known = next((row for row in self.rows if row.event_id == f"e{n}"), None)
        where = known.chat if known else chat
        stored = self.runner.run(self.store.append(message(f"e{n}", text, self.key(where), who)))
        assert stored.is_new is (known is None)
        if known is None:
            self.rows.append(Row(f"e{n}", chat, who, text, stored.message_id))
            assert self.said(stored.conversation) == self.expected(self.of(chat))
        else:
            assert (stored.message_id, stored.attempt) == (known.id, known.attempt)

    @rule(
        n=st.integers(0, 12), outcome=st.sampled_from(OUTCOMES), text=st.text(max_size=9), stale=st.booleans()
    )
    def record(self, n: int, outcome: Any, text: str, stale: bool) -> None:
        if not self.rows:
            return
        row = self.rows[n % len(self.rows)]
        attempt = row.attempt - 1 if stale else row.attempt
        done = Completion(text, "stop", "model")
        recording = self.store.record(row.id, outcome=outcome, text=text, completion=done, attempt=attempt)
        if row.state == "open" and stale:
            with pytest.raises(StoreError):
                self.runner.run(recording)
            return
        turn = self.runner.run(recording)
        if row.state == "open":
            row.state = outcome
            row.answers.append((row.attempt, outcome, text))
        assert turn.text == row.answers[-1][2]

    @rule(chat=st.sampled_from(CHATS))
    def reset(self, chat: str) -> None:
        self.runner.run(self.store.reset(self.key(chat)))
        for row in self.of(chat):
            row.after_reset = False

    @rule(chat=st.sampled_from(CHATS), model=st.sampled_from(("small", "large", None)))
    def choose_model(self, chat: str, model: str | None) -> None:
        self.runner.run(self.store.choose_model(self.key(chat), model))
        self.models[chat] = model

    @rule(chat=st.sampled_from(CHATS))
    def regenerate(self, chat: str) -> None:
        candidates = [
            row
            for row in self.of(chat)
            if row.after_reset and row.state in ("answered", "cancelled", "failed")
        ]
        again = self.runner.run(self.store.reopen_last(self.key(chat)))
        if not candidates:
            assert again is None
            return
        row = candidates[-1]
        row.state, row.attempt = "open", row.attempt + 1
        assert again is not None
        assert (again.message_id, again.attempt) == (row.id, row.attempt)
        earlier = [one for one in self.of(chat) if one.id <= row.id]
        assert self.said(again.conversation) == self.expected(earlier)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.database.aclose())
        self.open()

    @rule()
    def take_up(self) -> None:
        waiting = [
            one
            for one in self.runner.run(self.store.open_messages())
            if one.message.conversation.bot == self.bot
        ]
        open_rows = [row for row in self.rows if row.state == "open"]
        for row in open_rows:
            row.attempt += 1
        assert [(one.message_id, one.attempt, one.message.text, one.message.sender) for one in waiting] == [
            (row.id, row.attempt, row.text, row.sender) for row in open_rows
        ]

    @invariant()
    def reads_the_same(self) -> None:
        for chat in CHATS:
            found = self.runner.run(self.store.conversation(self.key(chat)))
            if found is None:
                assert self.of(chat) == []
                assert chat not in self.models
                continue
            assert self.said(found) == self.expected(self.of(chat))
            assert found.model == self.models.get(chat)

    @invariant()
    def ids_rise_with_time(self) -> None:
        assert [row.id for row in self.rows] == sorted({row.id for row in self.rows})


def test_any_history_reads_the_same_as_in_the_model(url: str, tmp_path: Path) -> None:
    class Machine(StoreMachine):
        pass

    Machine.url, Machine.folder = url, tmp_path
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )

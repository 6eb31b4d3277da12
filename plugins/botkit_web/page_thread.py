"""The conversation as the page shows it: what was said, and the answer that grows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from nicegui import ui

from botkit.types import Turn
from botkit_web import icons
from botkit_web.markup import blocks, render, render_block
from botkit_web.page_parts import box, button, text
from botkit_web.rooms import Live, place_line

IDEAS = (
    "Explain how a rainbow forms",
    "Write a haiku about rain",
    "Give me three ideas for a quiet evening",
)


class Thread:
    """The column of messages."""

    def __init__(self) -> None:
        """Make the empty column where the ``with`` block around it says."""
        self._column = box("div", "thread")
        self._column.props["role"] = "log"
        self._growing: _Growing | None = None
        self._last_answer: Any = None

    async def show(self, turns: Sequence[Turn]) -> None:
        """Show *turns* and nothing else."""
        # Beside the loop: a long conversation takes its time.
        rendered = await asyncio.to_thread(lambda: [_rendered(turn) for turn in turns])
        self._column.clear()
        self._growing = self._last_answer = None
        with self._column:
            if not turns:
                _greet()
            for turn, html in zip(turns, rendered, strict=True):
                if turn.role == "user":
                    self._last_answer = None
                    text("div", "said", turn.text)
                else:
                    self._last_answer = _answer(html)

    def begin(self, live: Live, *, with_question: bool) -> None:
        """Show that *live* is on its way; one that is written anew takes the last answer's place."""
        for greeting in [one for one in self._column if "greeting" in one.classes]:
            greeting.delete()
        if live.question is None and self._last_answer is not None:
            self._last_answer.delete()
        self._last_answer = None
        with self._column:
            if with_question and live.question is not None:
                text("div", "said", live.question)
            self._growing = _Growing()
        self.update(live)

    def update(self, live: Live) -> None:
        """Show what there is of *live*."""
        if self._growing is not None:
            self._growing.update(live)

    def end(self, live: Live) -> None:
        """Show the whole of *live*, which has come to its end."""
        if self._growing is None:
            return
        self._growing.finish(live)
        self._last_answer, self._growing = self._growing.element, None


class _Growing:
    """An answer that grows: one element for each block, so that only the last one changes."""

    def __init__(self) -> None:
        self.element = box("div", "answer growing")
        with self.element:
            self._body = box("div", "body")
            self._status = box("div", "status")
            with self._status:
                ui.html("<i></i><i></i><i></i>", sanitize=False, tag="span").classes("dots")
                self._place = text("span", "place", "")
        self._shown: list[str] = []
        self._elements: list[Any] = []

    def update(self, live: Live) -> None:
        self._place.set_content(place_line(live.place) if live.place else "")
        self._bring(blocks(live.text), growing=True)

    def finish(self, live: Live) -> None:
        self._bring(blocks(live.text), growing=False)
        self._status.delete()
        self.element.classes(remove="growing")
        with self.element:
            _actions(can_repeat=not live.is_command)

    def _bring(self, texts: list[str], *, growing: bool) -> None:
        """Make the elements show *texts*, touching only those that changed."""
        last = len(texts) - 1
        for index, block in enumerate(texts):
            # A block is rendered for good once another one follows it.
            wanted = f"{block}\0" if growing and index == last else block
            if index < len(self._shown) and self._shown[index] == wanted:
                continue
            html = render_block(block, growing=growing and index == last)
            if index < len(self._elements):
                self._elements[index].set_content(html)
                self._shown[index] = wanted
            else:
                with self._body:
                    self._elements.append(ui.html(html).classes("block"))
                self._shown.append(wanted)
        for element in self._elements[len(texts) :]:
            element.delete()
        del self._elements[len(texts) :], self._shown[len(texts) :]


def _rendered(turn: Turn) -> str:
    return render(turn.text) if turn.role == "assistant" else ""


def _answer(html: str) -> Any:
    with box("div", "answer") as answer:
        with box("div", "body"):
            ui.html(html).classes("block")
        _actions(can_repeat=True)
    return answer


def _actions(*, can_repeat: bool) -> None:
    with box("div", "actions"):
        button("quiet", icons.COPY, "Copy the answer", "copy")
        if can_repeat:
            button("quiet again", icons.AGAIN, "Write this answer anew", "again")


def _greet() -> None:
    with box("div", "greeting"):
        text("h1", "", "What shall we talk about?")
        with box("div", "ideas"):
            for idea in IDEAS:
                made = text("button", "idea", idea)
                made.props["type"] = "button"
                made.props["data-do"] = "idea"

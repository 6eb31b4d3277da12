"""One open page: what its browser asks for, and what it gets to see."""

from __future__ import annotations

import asyncio
import json
import secrets
import uuid
from html import escape
from typing import Any

from nicegui import background_tasks, ui

from botkit.errors import BotkitError
from botkit.protocols import ChatService
from botkit.types import Conversation
from botkit_web import icons
from botkit_web.page_parts import box, button, text
from botkit_web.page_sidebar import MAX_LISTED, Sidebar
from botkit_web.page_thread import Thread
from botkit_web.rooms import REGENERATE, ROOM_ID, STOP, Live, Room, Rooms

HEAD = """
<meta name="description" content="A chat with a text generator of your own.">
<link rel="stylesheet" href="/static/chat.css">
<script>document.documentElement.dataset.theme = localStorage.getItem("botkit-theme") || "auto"</script>
<script src="/static/chat.js" defer></script>
"""

MAX_ID_CHARACTERS = 64


class ChatPage:
    """A page in one tab of one browser, a viewer of the room that it shows."""

    def __init__(self, service: ChatService, rooms: Rooms, person_id: str) -> None:
        """Show nothing yet: ``build``, then ``open``."""
        self._service, self._rooms, self._person_id = service, rooms, person_id
        self._room: Room | None = None
        self._room_id = ""
        self._client: Any = None
        self._listed: Live | None = None
        # One thing after the other: what is read last is shown last.
        self._showing = asyncio.Lock()

    def build(self) -> None:
        """Make the page's elements."""
        self._client = ui.context.client
        ui.add_head_html(HEAD)
        ui.on("chat_send", self._on_send)
        ui.on("chat_stop", self._on_stop)
        ui.on("chat_again", self._on_again)
        ui.on("chat_open", self._on_open)
        ui.on("chat_model", self._on_model)
        with box("div", "chat") as self._root:
            self._sidebar = Sidebar()
            box("div", "scrim").props["data-do"] = "close-side"
            with box("main", "main"):
                self._build_bar()
                with box("div", "scroll"):
                    self._thread = Thread()
                _build_dock()

    def _build_bar(self) -> None:
        with box("header", "bar"):
            button("quiet menu", icons.MENU, "Conversations", "side")
            self._title = text("h2", "title", "")
            self._models = ui.html("", sanitize=False, tag="select").classes("models")
            self._models.props["aria-label"] = "Model"
            button("quiet new-small", icons.NEW, "Begin a new conversation", "new")

    async def open(self, room_id: str) -> None:
        """Show the conversation *room_id*, or a new one for ""; an answer on its way goes on growing."""
        async with self._showing:
            self.close()
            self._room_id = room_id or secrets.token_hex(8)
            self._room = room = self._rooms.enter(self._person_id, self._room_id, self)
            self._root.props["data-room"] = self._room_id
            self._root.update()
            await self._show_stored(room)
            await self._show_around(room)

    def close(self) -> None:
        """Look no longer; what is being answered goes on."""
        if self._room is not None:
            self._rooms.leave(self._room, self)
            self._room = None

    def began(self, live: Live) -> None:
        """Show the question and that its answer is on its way."""
        self._thread.begin(live, with_question=True)
        self._set_busy()

    def changed(self, live: Live) -> None:
        """Show what there is of the answer; with the first of it, the conversation is stored and listed."""
        self._thread.update(live)
        if self._listed is not live:
            self._listed = live
            background_tasks.create(self._settle(None))

    def ended(self, live: Live) -> None:
        """Show the whole answer; what was written anew, or a second delivery, is read from the store."""
        self._set_busy()
        self._thread.end(live)
        background_tasks.create(self._settle(live))

    async def _settle(self, ended: Live | None) -> None:
        async with self._showing:
            room = self._room
            if room is None:
                return
            if ended is not None and (ended.question is None or not ended.texts):
                stored = await self._read(room)
                turns = stored.turns if stored else ()
                if room.live is None and (not ended.texts or (turns and turns[-1].text == ended.text)):
                    await self._thread.show(turns)
            await self._show_around(room)

    async def _show_stored(self, room: Room) -> None:
        while True:
            live = room.live
            stored = await self._read(room)
            turns = stored.turns if stored else ()
            await self._thread.show(turns)
            if room.live is live:
                break  # else it ended, or another began, while its end could not be seen
        if live is not None:
            asked = turns[-1].text.strip() if turns and turns[-1].role == "user" else None
            with_question = live.question is not None and live.question.strip() != asked
            self._thread.begin(live, with_question=with_question)
        self._set_busy()

    async def _read(self, room: Room) -> Conversation | None:
        try:
            return await room.stored()
        except BotkitError as error:
            self._notify(error.public)
            return None

    async def _show_around(self, room: Room) -> None:
        """Bring the list, the title and the models up to date."""
        try:
            listed = await self._rooms.list_of(self._person_id, MAX_LISTED)
        except BotkitError as error:
            self._notify(error.public)
            return
        here = next((one for one in listed if one.key == room.key), None) or await self._read(room)
        self._sidebar.show(listed, self._room_id)
        title = here.title if here else ""
        self._title.set_content(escape(title))
        self._client.title = f"{title} - botkit" if title else "botkit"
        self._client.run_javascript(f"document.title = {json.dumps(self._client.title)}")
        self._show_models(here.model if here else None)

    def _show_models(self, chosen: str | None) -> None:
        names = self._service.models()
        chosen = chosen or names[0]
        options = "".join(
            f"<option{' selected' if name == chosen else ''}>{escape(name)}</option>"
            for name in dict.fromkeys([*names, chosen])
        )
        self._models.set_content(options)

    async def _on_send(self, event: Any) -> None:
        sent = event.args if isinstance(event.args, dict) else {}
        words, event_id = str(sent.get("text", "")), str(sent.get("id", ""))
        if self._room is None or not words.strip() or sent.get("room") != self._room_id:
            return
        if words.strip().lower() == STOP and self._room.live is not None:
            await self._room.stop()
            taken = True
        else:
            taken = self._rooms.say(self._room, words, _event_id(event_id))
        # With the elements, not as a call of its own: who sees the question shall find it taken.
        self._root.props["data-taken" if taken else "data-refused"] = event_id[:MAX_ID_CHARACTERS]
        self._root.update()

    async def _on_stop(self) -> None:
        if self._room is not None:
            await self._room.stop()

    async def _on_again(self) -> None:
        if self._room is not None:
            self._rooms.say(self._room, REGENERATE, str(uuid.uuid4()))

    async def _on_open(self, event: Any) -> None:
        room_id = str(event.args or "")
        if not room_id or ROOM_ID.fullmatch(room_id):
            await self.open(room_id)

    async def _on_model(self, event: Any) -> None:
        if self._room is None:
            return
        try:
            await self._service.choose_model(self._room.key, str(event.args))
        except BotkitError as error:
            self._notify(error.line())
        await self._settle(None)

    def _set_busy(self) -> None:
        busy = self._room is not None and self._room.live is not None
        self._root.classes(add="busy") if busy else self._root.classes(remove="busy")

    def _notify(self, words: str) -> None:
        self._client.run_javascript(f"botkit.notify({json.dumps(words)})")


def _build_dock() -> None:
    with box("div", "dock"):
        button("jump", icons.DOWN, "To the newest message", "down")
        with box("div", "composer"):
            say = box("textarea", "say")
            say.props["rows"] = "1"
            say.props["placeholder"] = "Say something"
            say.props["aria-label"] = "Your message"
            say.props["maxlength"] = "65536"
            button("send", icons.SEND, "Send", "send")
            button("stop", icons.STOP, "Stop the answer", "stop")
        text("p", "hint", "Enter sends, Shift+Enter begins a new line.")


def _event_id(given: str) -> str:
    """Return the id that the browser made for its message, or a new one if that is none."""
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return str(uuid.uuid4())

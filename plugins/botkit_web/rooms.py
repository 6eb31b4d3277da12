"""Conversations of the page: what is being answered in them goes on whether or not somebody looks."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Protocol

from botkit.protocols import ChatService
from botkit.types import Conversation, ConversationKey, Limits, Message, Person, Place

PLATFORM = "web"
BOT = "botkit"
EDIT_INTERVAL_S = 0.06
CLOSE_GRACE_S = 3.0
ROOM_ID = re.compile(r"[0-9a-f]{16}")
REGENERATE, STOP = "/regenerate", "/stop"


@dataclass(slots=True, eq=False)
class Live:
    """An answer on its way.  ``question`` is None when an answer is written anew."""

    message: Message
    question: str | None
    texts: dict[str, str] = field(default_factory=dict)
    place: Place | None = None

    @property
    def text(self) -> str:
        """What is written so far."""
        return "\n\n".join(self.texts.values())

    @property
    def is_command(self) -> bool:
        """Whether it answers a command, not a question."""
        return self.question is not None and self.question.startswith("/")


class Viewer(Protocol):
    """Somebody who looks at a room; calls are quick and never raise."""

    def began(self, live: Live) -> None:
        """Show that an answer is on its way."""

    def changed(self, live: Live) -> None:
        """Show more of it, or its new place in line."""

    def ended(self, live: Live) -> None:
        """Show that it has come to its end."""


class WebReply:
    """Shows an answer in a room; implements ``protocols.Reply``."""

    limits = Limits(edit_interval_s=EDIT_INTERVAL_S)

    def __init__(self, room: Room, live: Live) -> None:
        """Show in *live*, and tell the viewers of *room*."""
        self._room, self._live = room, live

    async def send(self, text: str, *, final: bool) -> str:
        """Show *text* as a new message and return its receipt."""
        receipt = str(len(self._live.texts))
        await self.edit(receipt, text, final=final)
        return receipt

    async def edit(self, receipt: str, text: str, *, final: bool) -> None:
        """Replace the text of the message *receipt*."""
        self._live.texts[receipt] = text
        self._live.place = None
        self._room.tell_changed()

    async def typing(self) -> None:
        """Do nothing: an answer without text shows by itself that it is on its way."""

    async def waiting(self, place: Place) -> None:
        """Show the place in line."""
        self._live.place = place
        self._room.tell_changed()


class Room:
    """One conversation that one person has through the page."""

    def __init__(self, service: ChatService, key: ConversationKey, person: Person) -> None:
        """Nothing is being answered yet."""
        self.key = key
        self.viewers: set[Viewer] = set()
        self.live: Live | None = None
        self._service, self._person = service, person

    def begin(self, text: str, event_id: str) -> Live | None:
        """Return the new answer to *text*, which is on its way from now on; None while there is another."""
        if self.live is not None:
            return None
        sent_at = self._service.clock.now()
        message = Message(event_id, self.key, self._person, text, sent_at, private=True)
        is_anew = text.strip().lower() == REGENERATE
        self.live = Live(message, None if is_anew else text)
        for viewer in tuple(self.viewers):
            viewer.began(self.live)
        return self.live

    async def answer(self, live: Live) -> None:
        """Have *live* answered; it ends with this call, by whatever door."""
        try:
            await self._service.receive(live.message, WebReply(self, live))
        finally:
            self.live = None
            for viewer in tuple(self.viewers):
                viewer.ended(live)

    async def stop(self) -> None:
        """Cancel what is being answered."""
        if self.live is not None:
            await self._service.stop(self.live.message)

    async def stored(self) -> Conversation | None:
        """Return the conversation as it is stored, or None before its first message."""
        return await self._service.conversation(self.key)

    def tell_changed(self) -> None:
        """Tell the viewers that there is more to see."""
        if self.live is not None:
            for viewer in tuple(self.viewers):
                viewer.changed(self.live)


class Rooms:
    """All rooms that somebody looks at, or that are being answered in; owns the tasks that answer."""

    def __init__(self, service: ChatService) -> None:
        """Begin with none."""
        self._service = service
        self._rooms: dict[ConversationKey, Room] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._closing = False

    def enter(self, person_id: str, room_id: str, viewer: Viewer) -> Room:
        """Return the person's own room *room_id* with *viewer* in it; ``leave`` takes the viewer out."""
        # The person is part of the key, so nobody reaches a room of somebody else's by its address.
        key = ConversationKey(PLATFORM, BOT, f"{person_id}.{room_id}")
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = Room(self._service, key, Person(PLATFORM, person_id))
        room.viewers.add(viewer)
        return room

    def leave(self, room: Room, viewer: Viewer) -> None:
        """Take *viewer* out of *room*; what is being answered goes on."""
        room.viewers.discard(viewer)
        self._forget_if_empty(room)

    def say(self, room: Room, text: str, event_id: str) -> bool:
        """Have *text* answered in *room*; False if that cannot be now.  A second delivery is fine."""
        if room.live is not None and room.live.message.event_id == event_id:
            return True
        live = None if self._closing else room.begin(text, event_id)
        if live is None:
            return False
        task = asyncio.create_task(self._answer(room, live))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        return True

    async def list_of(self, person_id: str, limit: int) -> list[Conversation]:
        """Return the person's conversations, newest first."""
        owner = Person(PLATFORM, person_id).ref
        return await self._service.conversations(PLATFORM, BOT, owner, limit)

    async def aclose(self) -> None:
        """Take nothing new; give what is being answered a few seconds, then cancel it."""
        self._closing = True
        if self._answering:
            await asyncio.wait(self._answering, timeout=CLOSE_GRACE_S)
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _answer(self, room: Room, live: Live) -> None:
        try:
            await room.answer(live)
        finally:
            self._forget_if_empty(room)

    def _forget_if_empty(self, room: Room) -> None:
        if not room.viewers and room.live is None:
            self._rooms.pop(room.key, None)


def room_id_of(conversation: Conversation) -> str:
    """Return the id under which a conversation of the page is found again."""
    return conversation.key.chat.rpartition(".")[2]


def place_line(place: Place) -> str:
    """Return a place in line as the page shows it."""
    where = f"{place.before} before you" if place.before else "You are next"
    return f"{where}, about {max(1, round(place.wait_s))} s" if place.wait_s > 0 else where

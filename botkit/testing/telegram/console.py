"""A fake Telegram in a terminal: each line typed is a private message, what the bot says is printed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TextIO

from botkit.testing.telegram.fake import FakeTelegram
from botkit.testing.telegram.world import Chat, User

PRESS = "!"


class Console:
    """One person's private chat with one bot, as lines of text."""

    def __init__(
        self, telegram: FakeTelegram, chat: Chat, user: User, write: Callable[[str], object]
    ) -> None:
        """Print to *write*, a line at a time."""
        self._telegram, self._chat, self._user, self._write = telegram, chat, user, write
        self._n_shown: dict[int, int] = {}

    async def take(self, line: str) -> None:
        """Say *line*; one that begins with ``!`` presses the button of that name under the newest answer."""
        if not line.startswith(PRESS):
            await self._telegram.say(self._chat, self._user, line)
            return
        try:
            newest = self._telegram.answers(self._chat)[-1]
            await self._telegram.press(newest, line.removeprefix(PRESS).strip(), self._user)
        except LookupError:
            self._write("(there is no such button)")

    async def show(self) -> None:
        """Print each new version of each answer, until cancelled."""
        while True:
            await self._telegram.wait_for(self._news, timeout=None)
            for message in self._telegram.answers(self._chat):
                for version in message.edits[self._n_shown.get(message.id, 0) :]:
                    buttons = " ".join(f"[{button.text}]" for button in message.buttons)
                    self._write(f"{message.id}: {version.text} {buttons}".rstrip())
                self._n_shown[message.id] = len(message.edits)

    def _news(self) -> bool:
        answers = self._telegram.answers(self._chat)
        return any(len(message.edits) > self._n_shown.get(message.id, 0) for message in answers)


async def run(port: int, token: str, write: Callable[[str], object]) -> None:
    """Serve until cancelled; whoever types on standard input is the bot's only acquaintance."""
    async with FakeTelegram(port=port) as telegram:
        telegram.add_bot(token)
        user = telegram.user("You")
        console = Console(telegram, telegram.private(user), user, write)
        write(f"base_url {telegram.base_url}")
        write(f"base_file_url {telegram.base_file_url}")
        write(f"token {token}")
        showing = asyncio.ensure_future(console.show())
        try:
            async for line in _lines(sys.stdin):
                await console.take(line)
            await asyncio.Event().wait()
        finally:
            showing.cancel()


async def _lines(stream: TextIO) -> AsyncIterator[str]:
    """Give the lines of *stream* that are not empty; none of what is neither a terminal nor a pipe."""
    reader = asyncio.StreamReader()
    with suppress(OSError, ValueError):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
        try:
            while line := await reader.readline():
                if text := line.decode(errors="replace").strip():
                    yield text
        finally:
            transport.close()

"""A fake Telegram in a terminal: each line typed is a private message, what the bot says is printed."""

from __future__ import annotations

from collections.abc import Callable

from botkit.testing.telegram.fake import FakeTelegram
from botkit.testing.telegram.world import Chat, User
from botkit.testing.terminal import converse

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
        await converse(console)

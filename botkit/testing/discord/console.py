"""A fake Discord in a terminal: each line typed is a direct message, what the bot says is printed."""

from __future__ import annotations

from collections.abc import Callable

from botkit.testing.discord.fake import FakeDiscord
from botkit.testing.discord.world import Channel, Posted, User
from botkit.testing.terminal import converse

PRESS, COMMAND = "!", "/"


class Console:
    """One person's direct channel with one bot, as lines of text."""

    def __init__(
        self, discord: FakeDiscord, channel: Channel, user: User, write: Callable[[str], object]
    ) -> None:
        """Print to *write*, a line at a time."""
        self._discord, self._channel, self._user, self._write = discord, channel, user, write
        self._n_shown: dict[int, int] = {}

    async def take(self, line: str) -> None:
        """Say *line*, once a bot is connected that hears it.

        ``!Name`` presses the button of that name under the newest answer, ``/name`` calls a command without
        options; a line that is neither a known button nor a known command gets a remark.
        """
        await self._discord.wait_for(lambda: self._discord.n_connected, timeout=None)
        try:
            if line.startswith(PRESS):
                await self._discord.press(self._answers()[-1], line.removeprefix(PRESS).strip(), self._user)
            elif line.startswith(COMMAND):
                await self._discord.slash(self._channel, self._user, line.removeprefix(COMMAND))
            else:
                await self._discord.say(self._channel, self._user, line)
        except LookupError:
            self._write("(there is no such button or command)")

    async def show(self) -> None:
        """Print each new version of each answer, until cancelled."""
        while True:
            await self._discord.wait_for(self._has_news, timeout=None)
            for message in self._answers():
                for version in message.edits[self._n_shown.get(message.id, 0) :]:
                    buttons = " ".join(f"[{button.get('label')}]" for button in message.buttons)
                    self._write(f"{message.id}: {version} {buttons}".rstrip())
                self._n_shown[message.id] = len(message.edits)

    def _answers(self) -> list[Posted]:
        return [one for one in self._discord.messages(self._channel) if one.from_bot]

    def _has_news(self) -> bool:
        return any(len(one.edits) > self._n_shown.get(one.id, 0) for one in self._answers())


async def run(port: int, token: str, write: Callable[[str], object]) -> None:
    """Serve until cancelled; whoever types on standard input is the bot's only acquaintance."""
    async with FakeDiscord(port=port) as discord:
        discord.add_bot(token)
        user = discord.user("You")
        console = Console(discord, discord.dm(user), user, write)
        write(f"api_base {discord.api_base}")
        write(f"gateway_url {discord.gateway_url}")
        write(f"token {token}")
        await converse(console)

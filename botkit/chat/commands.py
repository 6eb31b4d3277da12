"""What a person can tell the bot itself: one definition for each command."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from botkit.errors import UnknownNameError
from botkit.types import Conversation, Message

# A path like /usr/bin is talk, and Telegram adds the bot's name: /help@mybot.
COMMAND = re.compile(r"\s*/([A-Za-z]\w{0,31})(?:@\w+)?(?:\s+(.*\S))?\s*", re.DOTALL)
MAX_COMMAND_CHARACTERS = 500


class Desk(Protocol):
    """What a command may have done in its conversation."""

    def model_names(self) -> list[str]:
        """Return the names that can be chosen, the default first."""

    async def reset(self, message: Message) -> None:
        """Let the conversation begin anew."""

    async def choose_model(self, message: Message, model: str) -> None:
        """Use *model* from now on; raises UnknownNameError."""

    def interrupt(self, message: Message) -> bool:
        """Stop what is being generated; tell whether anything was."""

    async def regenerate(self, message: Message) -> bool:
        """Answer the last message anew, in place of this command; False when there is none."""


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command.  ``conversation`` is None for a command that does not wait its turn."""

    message: Message
    argument: str
    desk: Desk
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command; ``run`` returns the text to show, or None when it has shown its answer itself.

    An ``immediate`` one does not wait until the conversation's running reply is over.
    """

    name: str
    summary: str
    run: Callable[[Call], Awaitable[str | None]]
    argument: str = ""
    immediate: bool = False

    @property
    def usage(self) -> str:
        """Return how to type it."""
        return f"/{self.name} {self.argument}".rstrip()


async def _help(call: Call) -> str:
    width = max(len(command.usage) for command in COMMANDS)
    return "\n".join(f"{command.usage:<{width}}  {command.summary}" for command in COMMANDS)


async def _reset(call: Call) -> str:
    await call.desk.reset(call.message)
    return "Let us start anew: I have put aside what was said so far."


async def _model(call: Call) -> str:
    names = call.desk.model_names()
    if call.argument:
        await call.desk.choose_model(call.message, call.argument)
        return f"From now on I use {call.argument} here."
    chosen = (call.conversation.model if call.conversation else None) or names[0]
    others = ", ".join(name for name in names if name != chosen) or "none"
    return f"I use {chosen} here. Others: {others}."


async def _stop(call: Call) -> str:
    return "Stopped." if call.desk.interrupt(call.message) else "There is nothing to stop."


async def _regenerate(call: Call) -> str | None:
    return None if await call.desk.regenerate(call.message) else "There is no answer to write anew."


COMMANDS: tuple[Command, ...] = (
    Command("help", "show what I understand", _help),
    Command("reset", "forget the conversation so far", _reset),
    Command("model", "show the model, or choose another", _model, argument="[NAME]"),
    Command("stop", "stop the answer that is being written", _stop, immediate=True),
    Command("regenerate", "write the last answer anew", _regenerate),
)


def parse(text: str) -> tuple[str, str] | None:
    """Return the name and the argument of the command that *text* is, or None if it is none."""
    match = COMMAND.fullmatch(text) if len(text) <= MAX_COMMAND_CHARACTERS else None
    return (match[1].lower(), match[2] or "") if match else None


def find(name: str, commands: Sequence[Command] = COMMANDS) -> Command:
    """Return the command called *name*; raises UnknownNameError with the nearest."""
    for command in commands:
        if command.name == name:
            return command
    raise UnknownNameError("command", f"/{name}", [f"/{command.name}" for command in commands])

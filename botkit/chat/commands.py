"""What a person can tell the bot itself: one definition for each command."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from botkit.errors import UnknownNameError
from botkit.types import CommandInfo, Conversation, Message

if TYPE_CHECKING:
    from botkit.store.personal import Holdings

# A path like /usr/bin is talk, and Telegram adds the bot's name: /help@mybot.
COMMAND = re.compile(r"\s*/([A-Za-z]\w{0,31})(@\w+)?(?:\s+(.*\S))?\s*", re.DOTALL)
MAX_COMMAND_CHARACTERS = 500
FORGET_WORD = "everything"
PRIVACY = (
    "I keep what you say to me, what I answer, when, and under which name, so that I can answer in context."
    " It is encrypted, it stays on the machine that I run on, and nobody trains a model with it."
    " /mydata tells how much I keep of you; /forget takes it out."
)


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

    async def holdings(self, message: Message) -> Holdings:
        """Return how much is kept of the message's sender."""

    async def forget(self, message: Message, farewell: str) -> None:
        """Forget all that is kept of the message's sender, this command included, and say *farewell*."""


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command: who said it where, and what came after its name."""

    message: Message
    argument: str
    conversation: Conversation
    desk: Desk


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
    # A list reads well as plain text and as Markdown.
    return "\n".join(f"- {command.usage}: {command.summary}" for command in COMMANDS)


async def _reset(call: Call) -> str:
    await call.desk.reset(call.message)
    return "Let us start anew: I have put aside what was said so far."


async def _model(call: Call) -> str:
    names = call.desk.model_names()
    if call.argument:
        await call.desk.choose_model(call.message, call.argument)
        return f"From now on I use {call.argument} here."
    chosen = call.conversation.model or names[0]
    others = ", ".join(name for name in names if name != chosen) or "none"
    return f"I use {chosen} here. Others: {others}."


async def _stop(call: Call) -> str:
    return "Stopped." if call.desk.interrupt(call.message) else "There is nothing to stop."


async def _regenerate(call: Call) -> str | None:
    return None if await call.desk.regenerate(call.message) else "There is no answer to write anew."


async def _privacy(call: Call) -> str:
    return PRIVACY


async def _mydata(call: Call) -> str:
    kept = await call.desk.holdings(call.message)
    since = f"{kept.since:%Y-%m-%d}" if kept.since else "now"
    return (
        f"I keep {kept.n_messages} messages of yours and {kept.n_answers} answers to them, in"
        f" {kept.n_conversations} conversations, since {since}. With /forget {FORGET_WORD} I forget them."
    )


async def _forget(call: Call) -> str | None:
    if call.argument.lower() != FORGET_WORD:
        return f"This takes out all that you ever said to me here. If you mean it: /forget {FORGET_WORD}"
    await call.desk.forget(call.message, "I have forgotten all that you said to me, and what I answered.")
    return None


COMMANDS: tuple[Command, ...] = (
    Command("help", "show what I understand", _help),
    Command("reset", "forget the conversation so far", _reset),
    Command("model", "show the model, or choose another", _model, argument="[NAME]"),
    Command("stop", "stop the answer that is being written", _stop, immediate=True),
    Command("regenerate", "write the last answer anew", _regenerate),
    Command("privacy", "what I keep, and who sees it", _privacy),
    Command("mydata", "how much I keep of you", _mydata),
    Command("forget", "forget all that you said to me", _forget, argument=f"[{FORGET_WORD}]"),
)
MENU = tuple(CommandInfo(command.name, command.argument, command.summary) for command in COMMANDS)
_BY_NAME = {command.name: command for command in COMMANDS}


def parse(text: str) -> tuple[str, str] | None:
    """Return the name and the argument of the command that *text* is, or None if it is none."""
    match = _match(text)
    return (match[1].lower(), match[3] or "") if match else None


def is_for_another_bot(text: str) -> bool:
    """Tell whether *text*, said in a group to nobody in particular, is some other bot's command.

    It is if it names a bot (ours would have been addressed) or if no command of ours is called so.
    """
    match = _match(text)
    return match is not None and (match[2] is not None or match[1].lower() not in _BY_NAME)


def is_immediate(text: str) -> bool:
    """Tell whether *text* is a command that does not wait until the running reply is over."""
    match = _match(text)
    command = _BY_NAME.get(match[1].lower()) if match else None
    return command is not None and command.immediate


def find(name: str) -> Command:
    """Return the command called *name*; raises UnknownNameError with the nearest."""
    if name not in _BY_NAME:
        raise UnknownNameError("command", f"/{name}", [f"/{known}" for known in _BY_NAME])
    return _BY_NAME[name]


def _match(text: str) -> re.Match[str] | None:
    return COMMAND.fullmatch(text) if len(text) <= MAX_COMMAND_CHARACTERS else None

"""What a person can tell the bot itself."""

from __future__ import annotations

import time

import pytest
from chat_parts import ROOM, message

from botkit.chat import commands
from botkit.chat.commands import COMMANDS, Call, find, is_for_another_bot, is_immediate, parse
from botkit.errors import UnknownNameError
from botkit.types import Conversation, Message


class FakeDesk:
    """Notes what it is asked."""

    def __init__(self, *, is_running: bool = True) -> None:
        self.is_running = is_running
        self.asked: list[str] = []

    def model_names(self) -> list[str]:
        return ["small", "large"]

    async def reset(self, message: Message) -> None:
        self.asked.append("reset")

    async def choose_model(self, message: Message, model: str) -> None:
        self.asked.append(f"model {model}")

    def interrupt(self, message: Message) -> bool:
        return self.is_running

    async def regenerate(self, message: Message) -> bool:
        return self.is_running


async def run(text: str, desk: FakeDesk, conversation: Conversation | None = None) -> str | None:
    parsed = parse(text)
    assert parsed is not None
    call = Call(message(text=text), parsed[1], conversation or Conversation(1, ROOM), desk)
    return await find(parsed[0]).run(call)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("/help", ("help", "")),
        ("  /Help \n", ("help", "")),
        ("/model large", ("model", "large")),
        ("/model  large one ", ("model", "large one")),
        ("/model@my_bot large", ("model", "large")),
        ("/model\nlarge", ("model", "large")),
    ],
)
def test_commands_are_understood(text: str, parsed: tuple[str, str]) -> None:
    assert parse(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["hello", "/", "//", "/usr/bin", "/2", "see /help", "/help, please", "/" + "x" * 33, "/a " + "b" * 600],
)
def test_what_only_looks_like_a_command_is_talk(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["/a" + " " * 498, " " * 499 + "/", "/a" + " b" * 249, "/a\n" * 160])
def test_no_text_takes_long_to_understand(text: str) -> None:
    begun_s = time.process_time()
    parse(text)
    assert time.process_time() - begun_s < 0.05


@pytest.mark.parametrize(
    ("text", "is_theirs"),
    [
        ("/help", False),
        ("/help@other_bot", True),
        ("/play music", True),
        ("good morning", False),
        ("/usr/bin is a path", False),
    ],
)
def test_other_bots_commands_are_told_from_ours(text: str, is_theirs: bool) -> None:
    assert is_for_another_bot(text) is is_theirs


def test_only_stop_does_not_wait_its_turn() -> None:
    assert [command.name for command in COMMANDS if is_immediate(f"/{command.name}")] == ["stop"]
    assert is_immediate("/STOP@bot now")
    assert not is_immediate("/stopp")
    assert not is_immediate("stop")


def test_an_unknown_command_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        find("hlep")
    assert "did you mean '/help'?" in caught.value.line()


async def test_help_lists_every_command() -> None:
    text = await run("/help", FakeDesk())

    assert text is not None
    for command in COMMANDS:
        assert f"- {command.usage}: {command.summary}" in text.split("\n")


async def test_model_shows_what_is_used_and_what_there_is() -> None:
    desk = FakeDesk()
    chosen = Conversation(1, ROOM, model="large")

    assert await run("/model", desk) == "I use small here. Others: large."
    assert await run("/model", desk, chosen) == "I use large here. Others: small."
    assert desk.asked == []


async def test_model_with_a_name_chooses_it() -> None:
    desk = FakeDesk()

    assert await run("/model large", desk) == "From now on I use large here."
    assert desk.asked == ["model large"]


async def test_reset_resets() -> None:
    desk = FakeDesk()

    assert "anew" in (await run("/reset", desk) or "")
    assert desk.asked == ["reset"]


async def test_stop_and_regenerate_say_when_there_is_nothing() -> None:
    assert await run("/stop", FakeDesk()) == "Stopped."
    assert await run("/stop", FakeDesk(is_running=False)) == "There is nothing to stop."
    assert await run("/regenerate", FakeDesk()) is None
    assert await run("/regenerate", FakeDesk(is_running=False)) == "There is no answer to write anew."


def test_the_commands_are_those_that_are_promised() -> None:
    assert {command.name for command in commands.COMMANDS} == {
        "help",
        "reset",
        "model",
        "stop",
        "regenerate",
        "privacy",
        "mydata",
        "forget",
    }

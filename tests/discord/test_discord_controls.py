"""Buttons and slash commands."""

from __future__ import annotations

from discord_town import Town

from botkit.chat import commands

WORDS = [f"word{number} " for number in range(200)]


def labels(town: Town) -> list[str]:
    """What the buttons under the newest answer say."""
    return [button["label"] for button in town.answers()[-1].buttons]


async def test_discord_offers_the_commands_there_are(town: Town) -> None:
    async with town.serving():
        await town.discord.wait_for(lambda: town.bot.commands)

    offered = {one["name"]: one["description"] for one in town.bot.commands[0]}
    assert offered == {one.name: one.summary for one in commands.COMMANDS}


async def test_an_answer_can_be_stopped_with_its_button(town: Town) -> None:
    town.backend._script, town.backend.chunk_s = lambda _: WORDS, 0.05
    async with town.serving():
        await town.ask("go on")
        await town.discord.wait_for(lambda: town.answers() and labels(town) == ["Stop"])
        await town.discord.press(town.answers()[0], "Stop", town.anna)
        await town.discord.wait_for(lambda: labels(town) == ["Regenerate"])

    assert town.backend.n_cancelled == 1
    assert town.texts()[0].startswith("word0")


async def test_only_the_last_part_of_an_answer_has_buttons(town: Town) -> None:
    town.backend._script = lambda _: ["paragraph of words\n\n" * 300]
    async with town.serving():
        await town.ask("at length")
        await town.discord.wait_for(lambda: len(town.answers()) == 3 and labels(town) == ["Regenerate"])
        await town.discord.wait_for(lambda: not any(one.buttons for one in town.answers()[:-1]))

    calls = [*town.discord.calls_of("send"), *town.discord.calls_of("edit")]
    assert all(call.body["allowed_mentions"] == {"parse": []} for call in calls)


async def test_an_answer_is_written_anew_with_its_button(town: Town) -> None:
    async with town.serving():
        await town.ask("once")
        await town.discord.wait_for(lambda: town.answers() and labels(town) == ["Regenerate"])
        town.backend._script = lambda _: ["another"]
        await town.discord.press(town.answers()[0], "Regenerate", town.anna)
        await town.until_said("once", "another")


async def test_a_button_works_after_a_restart(town: Town) -> None:
    async with town.serving():
        await town.ask("once")
        await town.discord.wait_for(lambda: town.answers() and labels(town) == ["Regenerate"])
    async with town.serving():
        await town.discord.press(town.answers()[0], "Regenerate", town.anna)
        await town.until_said("once", "once")


async def test_a_button_of_a_reply_tree_belongs_to_the_tree(town: Town) -> None:
    async with town.serving("chat.scope=reply"):
        await town.ask("one")
        await town.until_said("one")
        await town.ask("other")
        await town.until_said("one", "other")
        await town.discord.wait_for(lambda: labels(town) == ["Regenerate"])
        await town.discord.press(town.answers()[0], "Regenerate", town.anna)
        await town.until_said("one", "other", "one")


async def test_there_are_no_buttons_where_the_operator_wants_none(town: Town) -> None:
    async with town.serving("adapters.discord.buttons=false"):
        await town.ask("once")
        await town.until_said("once")

    assert labels(town) == []


async def test_a_slash_command_is_answered_in_its_place(town: Town) -> None:
    async with town.serving():
        await town.discord.wait_for(lambda: town.bot.commands)
        await town.discord.slash(town.square, town.anna, "help")
        await town.discord.wait_for(lambda: town.answers() and "/reset" in town.texts()[0])

    assert [one.is_ephemeral for one in town.answers()] == [True]


async def test_a_slash_command_has_an_argument(town: Town) -> None:
    async with town.serving():
        await town.discord.wait_for(lambda: town.bot.commands)
        await town.discord.slash(town.square, town.anna, "model", value="scripted")
        await town.until_said("From now on I use scripted here.")


async def test_a_slash_command_writes_the_answer_anew(town: Town) -> None:
    async with town.serving():
        await town.discord.wait_for(lambda: town.bot.commands)
        await town.ask("one two three")
        await town.until_said("one two three")
        await town.discord.slash(town.square, town.anna, "regenerate")
        await town.until_said("one two three", "one two three")


async def test_discord_is_told_of_the_commands_once(town: Town) -> None:
    for _ in range(2):
        async with town.serving():
            await town.discord.wait_for(lambda: town.bot.commands)
            await town.ask("hello")
            await town.discord.wait_for(lambda: town.answers())

    assert len(town.discord.calls_of("sync")) == 1


async def test_the_place_in_line_is_where_the_answer_will_be(town: Town) -> None:
    town.backend.gate.clear()
    town.backend.slots = 1
    rooms = [town.discord.channel(town.guild, f"room {number}") for number in range(3)]
    async with town.serving():
        for one in rooms:
            await town.ask(f"{town.bot.mention} {one.name}", one)
        await town.discord.wait_for(lambda: any("before you" in text for text in town.texts(rooms[2])))
        town.backend.gate.set()
        for one in rooms:
            await town.until_said(one.name, channel=one)


async def test_a_command_whose_answer_fails_is_answered_a_moment_later(town: Town) -> None:
    async with town.serving():
        await town.discord.wait_for(lambda: town.bot.commands)
        town.discord.fail("follow_edit", status=503)
        await town.discord.slash(town.square, town.anna, "help")
        await town.discord.wait_for(lambda: town.answers() and "/reset" in town.texts()[0])


async def test_an_interaction_that_is_lost_does_no_harm(town: Town) -> None:
    async with town.serving():
        await town.discord.wait_for(lambda: town.bot.commands)
        town.discord.fail("respond", status=404, code=10062)
        await town.discord.slash(town.square, town.anna, "reset")
        await town.ask("hello")
        await town.until_said("hello")

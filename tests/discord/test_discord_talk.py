"""Talk with the bot on Discord: where it answers, how, and where it keeps quiet."""

from __future__ import annotations

import pytest
from discord_town import Town


async def test_a_mention_in_a_server_is_answered_there(town: Town) -> None:
    async with town.serving():
        asked = await town.ask("hello you")
        await town.until_said("hello you")

    assert town.answers()[0].reply_to == asked


async def test_a_direct_message_needs_no_mention(town: Town) -> None:
    private = town.discord.dm(town.anna)
    async with town.serving():
        await town.ask("just us", private)
        await town.until_said("just us", channel=private)

    assert town.texts() == []


async def test_a_thread_is_answered_in_the_thread(town: Town) -> None:
    thread = town.discord.thread(town.square, "aside", town.anna)
    async with town.serving():
        await town.ask(f"{town.bot.mention} over here", thread)
        await town.until_said("over here", channel=thread)

    assert town.texts() == []


async def test_an_answer_to_the_bot_needs_no_mention(town: Town) -> None:
    async with town.serving():
        await town.ask("first")
        await town.until_said("first")
        await town.discord.say(town.square, town.anna, "second", reply_to=town.answers()[0].id)
        await town.until_said("first", "second")


async def test_what_is_not_meant_for_the_bot_is_left_alone(town: Town) -> None:
    async with town.serving():
        await town.discord.say(town.square, town.anna, "hello ben")
        await town.ask("hello bot")
        await town.until_said("hello bot")


async def test_the_bot_answers_without_the_message_content_intent(town: Town) -> None:
    town.bot.message_content = False
    async with town.serving():
        await town.discord.say(town.square, town.anna, "hello ben")
        await town.ask("hello bot")
        await town.until_said("hello bot")


async def test_everything_is_answered_if_the_operator_says_so(town: Town) -> None:
    async with town.serving("chat.trigger=always", "adapters.discord.message_content=true"):
        await town.discord.say(town.square, town.anna, "no mention")
        await town.until_said("no mention")


async def test_an_intent_that_was_not_granted_is_one_line(town: Town) -> None:
    from botkit.errors import ConfigError

    town.bot.message_content = False
    with pytest.raises(ConfigError, match="message content intent"):
        async with town.serving("adapters.discord.message_content=true"):
            pass


async def test_other_bots_are_not_answered(town: Town) -> None:
    other = town.discord.user("other", is_bot=True)
    async with town.serving():
        await town.discord.say(town.square, other, f"{town.bot.mention} hello")
        await town.ask("and you?")
        await town.until_said("and you?")


async def test_a_reply_tree_is_a_conversation_of_its_own(town: Town) -> None:
    async with town.serving("chat.scope=reply"):
        await town.ask("one")
        await town.until_said("one")
        await town.ask("other")
        await town.until_said("one", "other")
        await town.discord.say(town.square, town.anna, "on", reply_to=town.answers()[0].id)
        await town.until_said("one", "other", "on")

    turns = [turn.text for turn in town.backend.requests[-1].turns]
    assert "one" in "".join(turns)
    assert "other" not in "".join(turns)


async def test_a_reply_tree_is_known_after_a_restart(town: Town) -> None:
    async with town.serving("chat.scope=reply"):
        await town.ask("one")
        await town.until_said("one")
        await town.discord.say(town.square, town.anna, "two", reply_to=town.answers()[0].id)
        await town.until_said("one", "two")
    async with town.serving("chat.scope=reply"):
        await town.discord.say(town.square, town.anna, "three", reply_to=town.answers()[1].id)
        await town.until_said("one", "two", "three")

    asked = "".join(turn.text for turn in town.backend.requests[-1].turns)
    assert all(word in asked for word in ("one", "two", "three"))


async def test_nobody_is_pinged_whatever_the_model_writes(town: Town) -> None:
    text = f"@everyone @here {town.ben.mention} <@&{town.guild.id}>"
    town.backend._script = lambda _: [text[:10], text[10:]]
    async with town.serving():
        await town.ask("say it")
        await town.discord.wait_for(lambda: town.answers() and "<@&" in town.answers()[0].text)
        await town.ask("/help")
        await town.discord.wait_for(lambda: len(town.answers()) == 2)

    calls = [*town.discord.calls_of("send"), *town.discord.calls_of("edit")]
    assert len(calls) >= 3
    assert all(call.body["allowed_mentions"] == {"parse": []} for call in calls)
    assert all(not one.pinged and not one.pings_everyone for one in town.answers())


async def test_an_answer_grows_in_one_message(town: Town) -> None:
    words = [f"word{number} " for number in range(20)]
    whole = "".join(words)
    town.backend._script, town.backend.chunk_s = lambda _: words, 0.02
    async with town.serving():
        await town.ask("go on")
        await town.discord.wait_for(
            lambda: town.texts() == ["".join(words)] or town.texts() == ["".join(words).strip()]
        )

    edits = town.answers()[0].edits
    assert len(edits) >= 3
    assert all(whole.startswith(version.strip()) for version in edits)


async def test_a_long_answer_comes_in_whole_parts(town: Town) -> None:
    code = "".join(f"line {number} of the program\n" for number in range(200))
    text = f"Here it is:\n```python\n{code}```\nThat was it."
    town.backend._script = lambda _: [text]
    async with town.serving():
        await town.ask("write a program")
        await town.discord.wait_for(lambda: town.texts() and town.texts()[-1].endswith("That was it."))

    parts = town.texts()
    assert len(parts) > 2
    assert all(len(part) <= 2000 and part.count("```") % 2 == 0 for part in parts)
    assert all(part.startswith("```python\n") for part in parts[1:])
    whole = "".join(parts)
    assert all(f"line {number} of the program" in whole for number in range(200))
    assert len({call.body["nonce"] for call in town.discord.calls_of("send")}) == len(parts)


async def test_the_commands_are_known_in_a_server(town: Town) -> None:
    async with town.serving():
        await town.ask("/help")
        await town.discord.wait_for(lambda: town.answers() and "/reset" in town.texts()[0])


@pytest.mark.parametrize("field", ["nonce", "enforce_nonce"])
async def test_every_message_names_what_it_answers(town: Town, field: str) -> None:
    async with town.serving():
        asked = await town.ask("hello")
        await town.until_said("hello")

    body = town.discord.calls_of("send")[0].body
    assert body[field] == {"nonce": f"{asked}-0", "enforce_nonce": True}[field]
    assert len(body["nonce"]) <= 25
    assert body["flags"] & 4  # no previews of links

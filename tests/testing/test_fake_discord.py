"""The fake Discord's REST API, driven through an unmodified discord.py."""

from __future__ import annotations

import discord
import pytest
from fake_discord_parts import Client, code_of, running

from botkit.testing.discord import Bot, Channel, FakeDiscord, User


async def test_a_bot_logs_in_and_learns_where_it_is(fake: FakeDiscord, bot: Bot, channel: Channel) -> None:
    async with running() as client:
        assert client.user is not None
        assert client.user.id == bot.id
        assert [one.name for one in client.guilds] == ["town"]
        assert client.get_channel(channel.id) is not None
        assert (await client.application_info()).id == bot.id


async def test_a_wrong_token_is_refused(fake: FakeDiscord, bot: Bot) -> None:
    client = Client()
    async with client:
        with pytest.raises(discord.LoginFailure):
            await client.login("another")


async def test_what_people_say_and_change_and_delete_arrives(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async with running() as client:
        number = await fake.say(channel, ada, f"{bot.mention} hello")
        await client.until(lambda: client.heard)
        heard = client.heard[0]
        assert heard.id == number
        assert heard.author.id == ada.id
        assert heard.mentions[0].id == bot.id
        assert heard.guild is not None

        await fake.edit(channel, number, "hello again")
        await fake.delete(channel, number)
        await client.until(lambda: "raw_message_delete" in client.events)
        assert "raw_message_edit" in client.events
        assert fake.messages(channel) == []
        assert fake.deleted[0].edits == [f"{bot.mention} hello", "hello again"]


async def test_a_bot_answers_edits_types_and_deletes(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async with running() as client:
        number = await fake.say(channel, ada, "hello")
        await client.until(lambda: client.heard)
        answer = await client.heard[0].reply("one", allowed_mentions=discord.AllowedMentions.none())
        async with client.place(channel).typing():
            await answer.edit(content="two")
        [_, shown] = fake.messages(channel)

        assert (shown.text, shown.edits, shown.from_bot) == ("two", ["one", "two"], True)
        assert shown.reply_to == number
        assert shown.allowed_mentions == {"parse": []}
        assert shown.pinged == []
        assert fake.calls_of("typing")

        await answer.delete()
        with pytest.raises(discord.NotFound) as caught:
            await answer.edit(content="three")
        assert caught.value.code == 10008


async def test_the_same_nonce_posts_once(fake: FakeDiscord, bot: Bot, channel: Channel) -> None:
    async with running() as client:
        first = await client.place(channel).send("once", nonce="n1")
        second = await client.place(channel).send("once", nonce="n1")

        assert first.id == second.id
        assert len(fake.messages(channel)) == 1


async def test_history_can_be_read_from_a_point_on(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    numbers = [await fake.say(channel, ada, str(n)) for n in range(120)]
    async with running() as client:
        place = client.place(channel)
        after = [m.content async for m in place.history(limit=None, after=discord.Object(numbers[9]))]
        before = [m.content async for m in place.history(limit=3, before=discord.Object(numbers[9]))]

        assert after == [str(n) for n in range(10, 120)]
        assert before == ["8", "7", "6"]


async def test_direct_messages_and_threads(fake: FakeDiscord, bot: Bot, channel: Channel, ada: User) -> None:
    thread = fake.thread(channel, "aside")
    async with running() as client:
        await fake.say(fake.dm(ada), ada, "in private")
        await fake.say(thread, ada, "aside")
        await client.until(lambda: len(client.heard) == 2)
        private, aside = client.heard
        await private.channel.send("psst")
        opened = await (await client.get_channel(channel.id).send("topic")).create_thread(name="talk")
        await opened.send("first")

        assert isinstance(private.channel, discord.DMChannel)
        assert isinstance(aside.channel, discord.Thread)
        assert [one.text for one in fake.messages(fake.dm(ada))] == ["in private", "psst"]
        assert [one.text for one in fake.messages(fake.messages(channel)[0].thread)] == ["first"]


async def test_refusals_carry_discords_codes(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    number = await fake.say(channel, ada, "hello")
    async with running() as client:
        place = client.place(channel)
        ada.takes_direct_messages = False

        assert await code_of(place.send("")) == 50006
        assert await code_of(place.send("x" * 2001)) == 50035
        assert await code_of(place.send("\N{GRINNING FACE}" * 1001)) == 50035
        assert await code_of(client.get_partial_messageable(1).send("x")) == 10003
        assert await code_of(place.get_partial_message(number).edit(content="x")) == 50005
        assert await code_of(client.get_partial_messageable(fake.dm(ada).id).send("x")) == 50007
        fake.deny(channel, "send_messages")
        assert await code_of(place.send("x")) == 50013
        fake.deny(channel, "view_channel")
        assert await code_of(place.send("x")) == 50001


async def test_what_is_asked_for_by_id_is_there(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    thread = fake.thread(channel, "aside")
    number = await fake.say(thread, ada, "hello")
    assert channel.guild is not None
    async with running() as client:
        guild = client.get_guild(channel.guild.id)
        assert guild is not None
        assert (await client.fetch_user(ada.id)).name == "ada"
        assert (await guild.fetch_member(ada.id)).name == "ada"
        assert (await client.fetch_channel(thread.id)).id == thread.id
        assert [one.name for one in await guild.active_threads()] == ["aside"]
        assert [one.name for one in await guild.fetch_channels()] == ["general"]
        assert (await client.place(thread).fetch_message(number)).content == "hello"


async def test_a_denied_permission_is_known_to_the_client(
    fake: FakeDiscord, bot: Bot, channel: Channel
) -> None:
    async with running() as client:
        place = client.get_channel(channel.id)
        assert isinstance(place, discord.TextChannel)
        assert place.permissions_for(place.guild.me).send_messages
        fake.deny(channel, "send_messages")
        await client.until(lambda: "guild_channel_update" in client.events)

        assert not place.permissions_for(place.guild.me).send_messages

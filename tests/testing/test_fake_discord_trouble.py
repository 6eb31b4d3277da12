"""What goes wrong with calls of the fake Discord: faults, limits, deleted messages."""

from __future__ import annotations

import asyncio

import aiohttp
import discord
import pytest
from fake_discord_parts import Client, code_of, running

from botkit.testing.clock import ManualClock
from botkit.testing.discord import NO_LIMITS, Bot, Channel, FakeDiscord, RateLimits, User
from botkit.testing.discord.limits import Limiter


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py waits seconds between its tries; here it only gives way."""
    sleep = asyncio.sleep
    monkeypatch.setattr(discord.http.asyncio, "sleep", lambda *_: sleep(0))


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", [429, 500, 502, 504])
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_what_discord_py_tries_again_is_posted_once(
    fake: FakeDiscord, bot: Bot, channel: Channel, status: int, after_effect: bool
) -> None:
    async with running() as client:
        fake.fail("send", status=status, retry_after=0.01, times=2, after_effect=after_effect)
        await client.place(channel).send("once")

        assert [one.text for one in fake.messages(channel)] == ["once"]
        assert [one.status for one in fake.calls_of("send")] == [status, status, 200]


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_a_503_is_raised_at_once(
    fake: FakeDiscord, bot: Bot, channel: Channel, after_effect: bool
) -> None:
    async with running() as client:
        fake.fail("send", status=503, after_effect=after_effect)
        with pytest.raises(discord.DiscordServerError):
            await client.place(channel).send("perhaps")

        assert len(fake.messages(channel)) == after_effect


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_the_line_can_be_cut(fake: FakeDiscord, bot: Bot, channel: Channel, after_effect: bool) -> None:
    async with running() as client:
        fake.fail("send", cut=True, after_effect=after_effect)
        with pytest.raises((aiohttp.ClientError, OSError)):
            await client.place(channel).send("perhaps", nonce="n1")

        assert len(fake.messages(channel)) == after_effect
        await client.place(channel).send("perhaps", nonce="n1")
        assert len(fake.messages(channel)) == 1
        assert [one.status for one in fake.calls_of("send")] == [0, 200]


async def test_a_429_without_via_is_taken_for_a_ban(fake: FakeDiscord, bot: Bot, channel: Channel) -> None:
    async with running() as client:
        fake.fail("edit", status=429, via=False)
        message = await client.place(channel).send("one")
        with pytest.raises(discord.HTTPException) as caught:
            await message.edit(content="two")

        assert caught.value.status == 429


async def test_any_code_can_be_wished_for(fake: FakeDiscord, bot: Bot, channel: Channel) -> None:
    async with running() as client:
        fake.fail("*", status=403, code=50013, message="Missing Permissions")

        assert await code_of(client.place(channel).send("x")) == 50013


async def test_a_message_can_vanish_while_it_is_written(
    fake: FakeDiscord, bot: Bot, channel: Channel
) -> None:
    async with running() as client:
        message = await client.place(channel).send("one")
        await fake.delete(channel, message.id)

        assert await code_of(message.edit(content="two")) == 10008


async def test_a_locked_thread_takes_nothing(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    thread = fake.thread(channel, "old")
    async with running() as client:
        fake.archive(thread)
        await client.place(thread).send("opens it again")
        assert not thread.is_archived
        fake.archive(thread, locked=True)

        assert await code_of(client.place(thread).send("x")) == 50083


async def test_discord_py_reads_the_headers_and_waits(fake: FakeDiscord, bot: Bot, channel: Channel) -> None:
    fake.limit(RateLimits(sends=2, window_s=0.2))
    async with running() as client:
        await client.place(channel).send("0")
        await asyncio.gather(*(client.place(channel).send(str(n)) for n in range(1, 6)))

    sent = fake.calls_of("send")
    assert len(fake.messages(channel)) == 6
    # A send on the edge of two windows may count in the later one; without the headers it would be many.
    assert [one.status for one in sent].count(429) <= 1
    assert sent[-1].at_s - sent[0].at_s >= 0.4


async def test_who_ignores_the_headers_is_refused_in_discords_words(
    fake: FakeDiscord, bot: Bot, channel: Channel
) -> None:
    fake.limit(RateLimits(sends=1))
    url = f"{fake.api_base}/channels/{channel.id}/messages"
    headers = {"Authorization": f"Bot {bot.token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        first = await http.post(url, json={"content": "one"})
        second = await http.post(url, json={"content": "two"})
        said = await second.json()

    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["X-RateLimit-Remaining"] == "0"
    assert (second.status, said["message"]) == (429, "You are being rate limited.")
    assert said["global"] is False
    assert 0 < said["retry_after"] <= 5
    assert second.headers["Via"]
    assert len(fake.messages(channel)) == 1


async def test_channels_and_kinds_of_calls_have_buckets_of_their_own() -> None:
    clock = ManualClock()
    limiter = Limiter(RateLimits(sends=1, edits=1, all_calls=0), clock)

    assert not limiter.judge("send", "t", "1").is_refused
    assert not limiter.judge("send", "t", "2").is_refused
    assert not limiter.judge("edit", "t", "1").is_refused
    assert limiter.judge("send", "t", "1").retry_after_s == 5
    await clock.advance(5)
    assert not limiter.judge("send", "t", "1").is_refused


async def test_all_calls_together_have_a_limit_too() -> None:
    clock = ManualClock()
    limiter = Limiter(RateLimits(sends=0, edits=0, all_calls=3), clock)

    verdicts = [limiter.judge("me", "t", "") for _ in range(4)]

    assert [one.is_refused for one in verdicts] == [False, False, False, True]
    assert verdicts[-1].is_global
    assert verdicts[-1].headers["X-RateLimit-Global"] == "true"
    limiter.limits = NO_LIMITS
    assert not limiter.judge("me", "t", "").is_refused


async def test_files_can_be_fetched_and_sent(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async with running() as client:
        await fake.say(channel, ada, "look", attachments=[("a.txt", b"content")])
        await client.until(lambda: client.heard)
        file = await client.heard[0].attachments[0].to_file()
        await client.place(channel).send("back", file=file)

        [sent] = fake.messages(channel)[-1].attachments
        assert (sent.name, sent.content) == ("a.txt", b"content")


async def test_slow_answers_come_after_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    async with FakeDiscord(clock) as fake:
        bot = fake.add_bot("token")
        fake.fail("me", status=0, delay_s=30)
        headers = {"Authorization": f"Bot {bot.token}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            asking = asyncio.create_task(http.get(f"{fake.api_base}/users/@me"))
            await fake.wait_for(lambda: fake.calls_of("me"))
            assert not asking.done()
            await clock.advance(30)

            assert (await asking).status == 200


async def test_two_bots_are_two_bots(fake: FakeDiscord, bot: Bot, channel: Channel, ada: User) -> None:
    other = fake.add_bot("other")
    async with running() as client, Client() as second:
        await second.login("other")
        await client.place(channel).send("mine")

        assert second.user is not None
        assert second.user.id == other.id
        assert await code_of(second.get_partial_messageable(channel.id).send("x")) == 50001


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
async def test_calls_can_be_held(fake: FakeDiscord, bot: Bot, channel: Channel, after_effect: bool) -> None:
    gate = fake.hold("send", after_effect=after_effect)
    async with running() as client:
        sending = asyncio.create_task(client.place(channel).send("held"))
        await fake.wait_for(lambda: gate.n_held)
        assert len(fake.messages(channel)) == after_effect
        assert not sending.done()
        gate.open()

        await sending
        assert len(fake.messages(channel)) == 1


async def test_the_platform_goes_down_and_comes_back_as_it_was(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.client.ExponentialBackoff, "delay", lambda self: 0.01)
    async with running() as client:
        await fake.stop()
        await fake.say(channel, ada, "while down")
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.place(channel).send("to nobody")
        await fake.start()
        await client.until(lambda: client.heard)

        assert client.texts() == ["while down"]
        assert fake.gateway.n_resumed == 1

"""The fake Discord's Gateway: what a connection survives, and what it does not."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import discord
import pytest
from fake_discord_parts import TOKEN, Client, running

from botkit.testing.discord import Bot, Channel, FakeDiscord, User


def op_7(fake: FakeDiscord) -> None:
    fake.reconnect_request()


def op_9_true(fake: FakeDiscord) -> None:
    fake.invalidate_session(resumable=True)


def close_4000(fake: FakeDiscord) -> None:
    fake.close_connections(4000)


def cut(fake: FakeDiscord) -> None:
    fake.drop_connections()


@pytest.mark.parametrize("trouble", [op_7, op_9_true, close_4000, cut])
async def test_a_session_is_resumed_and_what_was_missed_comes_again(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User, trouble: Callable[[FakeDiscord], None]
) -> None:
    async with running() as client:
        await fake.say(channel, ada, "before")
        await client.until(lambda: client.heard)
        trouble(fake)
        await fake.wait_for(lambda: not fake.n_connected)
        await fake.say(channel, ada, "while away")
        await client.until(lambda: "resumed" in client.events)
        await fake.say(channel, ada, "after")
        await client.until(lambda: len(client.heard) == 3)

        assert client.texts() == ["before", "while away", "after"]
        assert (fake.gateway.n_identified, fake.gateway.n_resumed) == (1, 1)


async def test_an_invalid_session_begins_anew_and_has_missed_what_was_said(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async with running() as client:
        fake.invalidate_session()
        await fake.say(channel, ada, "missed")
        await fake.wait_for(lambda: fake.gateway.n_identified == 2)
        await fake.say(channel, ada, "heard")
        await client.until(lambda: client.heard)

        assert client.texts() == ["heard"]
        assert fake.gateway.n_resumed == 0


async def test_a_forgotten_session_cannot_be_resumed(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async with running() as client:
        fake.forget_sessions()
        fake.drop_connections()
        await fake.wait_for(lambda: fake.gateway.n_identified == 2)
        await fake.say(channel, ada, "heard")
        await client.until(lambda: client.heard)

        assert fake.gateway.n_resumed == 0


async def test_a_bot_that_was_killed_can_resume_its_session(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async with running() as client:
        session, sequence = client.ws.session_id, client.ws.sequence
        await client.ws.close(4000)
    await fake.say(channel, ada, "while dead")

    async with aiohttp.ClientSession() as http, http.ws_connect(fake.gateway_url) as socket:
        await socket.receive_json()
        data = {"token": TOKEN, "session_id": session, "seq": sequence}
        await socket.send_json({"op": 6, "d": data})
        first, second = await socket.receive_json(), await socket.receive_json()

    assert (first["t"], first["d"]["content"]) == ("MESSAGE_CREATE", "while dead")
    assert second["t"] == "RESUMED"
    assert second["s"] == first["s"] + 1


@pytest.mark.parametrize(("code", "n_left"), [(1000, 0), (4000, 1)])
async def test_a_client_that_closes_in_peace_gives_its_session_up(
    fake: FakeDiscord, bot: Bot, code: int, n_left: int
) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(fake.gateway_url) as socket:
        await socket.receive_json()
        await socket.send_json({"op": 2, "d": {"token": TOKEN, "intents": 1, "properties": {}}})
        await socket.receive_json()
        await socket.close(code=code)
        await fake.wait_for(lambda: not fake.gateway.connections)

    assert len(fake.gateway.sessions) == n_left


async def test_silence_is_noticed_by_the_missing_heartbeats(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    fake.gateway.heartbeat_interval_ms = 200
    async with running(Client(heartbeat_timeout=0.8)) as client:
        await fake.wait_for(lambda: fake.gateway.n_heartbeats >= 2)
        fake.go_silent()
        await fake.say(channel, ada, "unheard at first")
        await client.until(lambda: client.heard)

        assert fake.gateway.n_resumed == 1


async def test_a_refused_first_handshake_leaves_start(fake: FakeDiscord, bot: Bot) -> None:
    fake.refuse_handshakes()
    client = Client()

    with pytest.raises(AttributeError, match="sequence"):
        await client.start(TOKEN)
    await client.close()


async def test_a_later_refused_handshake_is_tried_again(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.client.ExponentialBackoff, "delay", lambda self: 0.01)
    async with running() as client:
        fake.refuse_handshakes()
        fake.drop_connections()
        await client.until(lambda: "resumed" in client.events)


@pytest.mark.parametrize(
    ("token", "content", "code"), [("wrong", True, 4004), (TOKEN, False, 4014)], ids=["token", "intent"]
)
async def test_who_may_not_identify_is_closed_with_the_reason(
    fake: FakeDiscord, token: str, content: bool, code: int
) -> None:
    fake.add_bot(TOKEN, message_content=content)
    async with aiohttp.ClientSession() as http, http.ws_connect(fake.gateway_url) as socket:
        await socket.receive_json()
        await socket.send_json({"op": 2, "d": {"token": token, "intents": 1 << 15, "properties": {}}})
        await socket.receive()

        assert socket.close_code == code


async def test_text_comes_only_to_who_was_granted_it_or_is_called(
    fake: FakeDiscord, ada: User, bot: Bot, channel: Channel
) -> None:
    intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
    client = Client()
    client._connection._intents = intents
    async with running(client):
        await fake.say(channel, ada, "secret")
        await fake.say(channel, ada, f"{bot.mention} open")
        await fake.say(fake.dm(ada), ada, "private")
        await client.until(lambda: len(client.heard) == 3)

        assert client.texts() == ["", f"{bot.mention} open", "private"]


async def test_events_come_doubled_swapped_and_unknown(
    fake: FakeDiscord, bot: Bot, channel: Channel, ada: User
) -> None:
    async with running() as client:
        fake.duplicate_next()
        await fake.say(channel, ada, "twice")
        fake.swap_next()
        await fake.say(channel, ada, "one")
        await fake.say(channel, ada, "two")
        fake.unknown_event()
        await fake.say(channel, ada, "last")
        await client.until(lambda: len(client.heard) == 5)

        assert client.texts() == ["twice", "twice", "two", "one", "last"]


async def test_a_malformed_event_kills_the_client(fake: FakeDiscord, bot: Bot, channel: Channel) -> None:
    client = Client()
    serving = asyncio.create_task(client.start(TOKEN))
    await client.until(lambda: "ready" in client.events)

    fake.malformed_event()

    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        await serving
    await client.close()


async def test_a_server_can_have_an_outage(fake: FakeDiscord, bot: Bot, channel: Channel, ada: User) -> None:
    assert channel.guild is not None
    async with running() as client:
        fake.set_available(channel.guild, available=False)
        await client.until(lambda: "guild_unavailable" in client.events)
        fake.set_available(channel.guild, available=True)
        await client.until(lambda: "guild_available" in client.events)
        await fake.say(channel, ada, "back")
        await client.until(lambda: client.heard)


async def test_shards_share_the_servers(fake: FakeDiscord, bot: Bot, ada: User) -> None:
    channels = [fake.channel(fake.guild(f"town {n}"), "general") for n in range(4)]
    events: dict[int, set[str]] = {0: set(), 1: set()}
    async with aiohttp.ClientSession() as http:
        for shard, seen in events.items():
            async with http.ws_connect(fake.gateway_url) as socket:
                await socket.receive_json()
                data = {"token": TOKEN, "intents": 513 | 1 << 15, "shard": [shard, 2], "properties": {}}
                await socket.send_json({"op": 2, "d": data})
                for channel in channels:
                    await fake.wait_for(lambda: fake.n_connected)
                    await fake.say(channel, ada, channel.guild.name if channel.guild else "")
                with suppress(TimeoutError):
                    while True:
                        event = await socket.receive_json(timeout=0.2)
                        if event["t"] == "MESSAGE_CREATE":
                            seen.add(event["d"]["content"])
            await fake.wait_for(lambda: not fake.gateway.connections)

    assert not events[0] & events[1]
    assert events[0] | events[1] == {f"town {n}" for n in range(4)}


async def test_a_poisonous_event_comes_again_to_who_resumes_from_before_it(
    fake: FakeDiscord, bot: Bot
) -> None:
    names: list[list[str]] = []
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(fake.gateway_url) as socket:
            await socket.receive_json()
            await socket.send_json({"op": 2, "d": {"token": TOKEN, "intents": 1, "properties": {}}})
            ready = await socket.receive_json()
            await socket.close(code=4000)
        fake.malformed_event()
        for _ in range(2):
            async with http.ws_connect(ready["d"]["resume_gateway_url"]) as socket:
                await socket.receive_json()
                data = {"token": TOKEN, "session_id": ready["d"]["session_id"], "seq": ready["s"]}
                await socket.send_json({"op": 6, "d": data})
                names.append([(await socket.receive_json())["t"] for _ in range(2)])
                await socket.close(code=4000)

    assert names == [["MESSAGE_CREATE", "RESUMED"]] * 2


@pytest.mark.parametrize(
    ("sent", "code"),
    [("nonsense", 4002), ('{"op": 8, "d": {}}', 4003), ('{"op": 6, "d": {"token": "wrong"}}', 4004)],
)
async def test_what_makes_no_sense_is_closed_with_its_code(
    fake: FakeDiscord, bot: Bot, sent: str, code: int
) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(fake.gateway_url) as socket:
        await socket.receive_json()
        await socket.send_str(sent)
        await socket.receive()

        assert socket.close_code == code


async def test_events_come_compressed_to_who_asks(fake: FakeDiscord, bot: Bot) -> None:
    unpack = zlib.decompressobj()
    url = fake.gateway_url + "?compress=zlib-stream"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        hello = json.loads(unpack.decompress(await socket.receive_bytes()))
        await socket.send_json({"op": 1, "d": None})
        ack = json.loads(unpack.decompress(await socket.receive_bytes()))

    assert (hello["op"], ack["op"]) == (10, 11)

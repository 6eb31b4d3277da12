"""The fake Discord as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys

import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from fake_discord_parts import TOKEN, running

from botkit.testing.discord import Bot, FakeDiscord
from botkit.testing.discord.console import Console


async def test_it_serves_a_bot_of_another_process_until_it_is_told_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [sys.executable, "-m", "botkit.testing.discord", "--token", TOKEN]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    told = dict([(await process.stdout.readline()).decode().split() for _ in range(3)])
    monkeypatch.setattr(discord.http.Route, "BASE", told["api_base"])
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(told["gateway_url"]))

    async with running() as client:
        process.stdin.write(b"hello\n")
        await process.stdin.drain()
        await client.until(lambda: client.heard)
        await client.heard[0].channel.send(f"you said {client.heard[0].content}")
        printed = await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.stdin.close()

    assert printed.endswith(b": you said hello\n")
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_line_with_a_bang_presses_a_button(fake: FakeDiscord, bot: Bot) -> None:
    lines: list[str] = []
    user = fake.user("You")
    console = Console(fake, fake.dm(user), user, lines.append)
    view = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="Stop", custom_id="stop"))

    async with running() as client:
        await console.take("!Stop")
        await console.take("/unknown")
        await client.place(fake.dm(user)).send("...", view=view)
        await console.take("!Stop")
        await client.until(lambda: "interaction" in client.events)

    assert lines == ["(there is no such button or command)"] * 2

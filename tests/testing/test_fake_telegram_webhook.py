"""Webhooks that the fake Telegram serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from fake_telegram_parts import connected
from telegram import Bot
from telegram.error import BadRequest, Conflict

from botkit.testing.telegram import Chat, FakeTelegram, User


@pytest.fixture
def telegram() -> FakeTelegram:
    return FakeTelegram()


@pytest.fixture
async def bot(telegram: FakeTelegram) -> AsyncIterator[Bot]:
    async with connected(telegram) as bot:
        yield bot


@pytest.fixture
def ann(telegram: FakeTelegram) -> User:
    return telegram.user("Ann")


@pytest.fixture
def chat(bot: Bot, telegram: FakeTelegram, ann: User) -> Chat:
    return telegram.private(ann)


@asynccontextmanager
async def hooked(answers: list[web.Response], got: list[tuple[str, int]]) -> AsyncIterator[str]:
    """Serve a webhook that gives *answers* in turn, then 200; give its address."""

    async def take(request: web.Request) -> web.Response:
        secret = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        got.append((secret, (await request.json())["update_id"]))
        return answers.pop(0) if answers else web.Response()

    async with serving(take) as address:
        yield address


@asynccontextmanager
async def serving(take: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Serve *take* as a webhook; give its address."""
    application = web.Application()
    application.router.add_post("/hook", take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def test_a_webhook_gets_updates_in_order_and_again_until_it_takes_them(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    got: list[tuple[str, int]] = []
    async with hooked([web.Response(status=403), web.Response(status=500)], got) as address:
        await telegram.say(chat, ann, "one")
        await bot.set_webhook(address, secret_token="s3cret")
        await telegram.say(chat, ann, "two")

        await telegram.wait_for(lambda: len(got) == 4)

        first = got[0][1]
        assert got == [("s3cret", first)] * 3 + [("s3cret", first + 1)]
        info = await bot.get_webhook_info()
        assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
        with pytest.raises(Conflict, match="webhook is active"):
            await bot.get_updates()
        await bot.delete_webhook()
        assert (await bot.get_webhook_info()).url == ""


async def test_a_webhook_that_takes_too_long_gets_the_update_again() -> None:
    telegram = FakeTelegram(webhook_timeout_s=0.1)
    got: list[int] = []

    async def take(request: web.Request) -> web.Response:
        got.append((await request.json())["update_id"])
        if len(got) == 1:
            await asyncio.Event().wait()
        return web.Response()

    async with connected(telegram) as bot, serving(take) as address:
        ann = telegram.user("Ann")
        await bot.set_webhook(address)
        await telegram.say(telegram.private(ann), ann, "hello")

        await telegram.wait_for(lambda: len(got) == 2)

        assert got[0] == got[1]
        assert (await bot.get_webhook_info()).last_error_message == "Connection timed out"


async def test_a_webhook_ends_the_poll_that_waits(telegram: FakeTelegram, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30))
    await telegram.wait_for(lambda: telegram.calls_of("getUpdates"))

    await bot.set_webhook("https://example.org/hook")

    with pytest.raises(Conflict, match="terminated by setWebhook"):
        await poll


async def test_a_webhook_may_answer_with_a_method(
    telegram: FakeTelegram, bot: Bot, chat: Chat, ann: User
) -> None:
    answer = web.json_response({"method": "sendMessage", "chat_id": chat.id, "text": "at once"})
    async with hooked([answer], []) as address:
        await bot.set_webhook(address)
        await telegram.say(chat, ann, "hello")

        await telegram.wait_for(lambda: telegram.answers(chat))

    assert [message.text for message in telegram.answers(chat)] == ["at once"]


async def test_a_webhook_must_be_secure_unless_it_is_on_this_machine(bot: Bot) -> None:
    with pytest.raises(BadRequest, match=r"(?i)an https url must be provided"):
        await bot.set_webhook("http://example.org/hook")

"""The webhook: who may call it, and when it says that an update has arrived."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest
from botkit_telegram.intake import Intake
from botkit_telegram.settings import TelegramSettings
from botkit_telegram.trees import Trees
from botkit_telegram.webhook import SECRET_HEADER, Webhook
from pydantic import ValidationError
from telegram_bots import LIMIT_S, TOKEN, running
from telegram_parts import ME, Core, said

from botkit.errors import ConfigError, EnvironmentFailure
from botkit.testing.clock import ManualClock
from botkit.testing.telegram import Account, FakeTelegram


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def settings() -> TelegramSettings:
    port = free_port()
    return TelegramSettings(
        token=TOKEN,
        mode="webhook",
        port=port,
        webhook_url=f"http://127.0.0.1:{port}/hook",
        secret_token="right",
    )


async def post(settings: TelegramSettings, body: object, secret: str = "right") -> int:
    async with httpx.AsyncClient() as client:
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = await client.post(settings.webhook_url, headers={SECRET_HEADER: secret}, **content)
        return answer.status_code


@pytest.fixture
def core() -> Core:
    return Core(ManualClock())


def webhook(settings: TelegramSettings, core: Core) -> Webhook:
    return Webhook(settings, Intake(core, ME, calls=None, trees=Trees()))  # type: ignore[arg-type]


async def test_an_update_is_taken_from_whoever_knows_the_secret(
    settings: TelegramSettings, core: Core
) -> None:
    async with webhook(settings, core).listening():
        assert await post(settings, said("forged"), secret="wrong") == 403
        assert await post(settings, said("hello")) == 200

    assert [message.text for message in core.accepted] == ["hello"]


async def test_what_could_not_be_stored_is_asked_for_again(settings: TelegramSettings, core: Core) -> None:
    core.n_failures = 1
    async with webhook(settings, core).listening():
        assert await post(settings, said("hello")) == 503
        assert await post(settings, said("hello")) == 200


async def test_what_makes_no_sense_does_not_come_again(settings: TelegramSettings, core: Core) -> None:
    async with webhook(settings, core).listening():
        assert await post(settings, {"update_id": 1, "message": 7}) == 200
        assert await post(settings, ["no update"]) == 200
        assert await post(settings, b"{no json") == 400

    assert core.accepted == []


async def test_an_address_that_cannot_be_had_is_one_line(settings: TelegramSettings, core: Core) -> None:
    line = f"cannot listen on 127.0.0.1 port {settings.port}"
    with socket.create_server(("127.0.0.1", settings.port)), pytest.raises(EnvironmentFailure, match=line):
        async with webhook(settings, core).listening():
            pass


@pytest.mark.parametrize("secret", ["has space", "x" * 257])
def test_a_secret_that_telegram_would_not_take_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TelegramSettings(secret_token=secret)

    assert "up to 256 letters" in caught.value.errors()[0]["msg"]


def test_without_an_address_for_telegram_there_is_no_webhook(core: Core) -> None:
    with pytest.raises(ConfigError, match="webhook_url is not set"):
        webhook(TelegramSettings(token=TOKEN, mode="webhook"), core)


@pytest.mark.usefixtures("quick")
async def test_the_whole_bot_by_webhook_and_back_to_polling(
    telegram: FakeTelegram, bot: Account, tmp_path: Path
) -> None:
    anna = telegram.user("Anna")
    chat = telegram.private(anna)
    port = free_port()
    by_webhook = [
        "adapters.telegram.mode=webhook",
        f"adapters.telegram.port={port}",
        f"adapters.telegram.webhook_url=http://127.0.0.1:{port}/hook",
    ]
    async with running(telegram, tmp_path, *by_webhook):
        assert bot.hook.secret
        assert bot.hook.max_connections == 1
        await telegram.say(chat, anna, "one")
        await telegram.wait_for(lambda: [a.text for a in telegram.answers(chat)] == ["one"], LIMIT_S)
    await telegram.say(chat, anna, "two")  # while nobody listens
    async with running(telegram, tmp_path):
        await telegram.wait_for(lambda: [a.text for a in telegram.answers(chat)] == ["one", "two"], LIMIT_S)

    assert telegram.calls_of("deleteWebhook")[-1].params.get("drop_pending_updates") != "true"

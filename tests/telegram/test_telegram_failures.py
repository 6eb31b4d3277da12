"""Errors of the library become errors of botkit, and the token is in none of them."""

from __future__ import annotations

import datetime
from pathlib import Path

import httpx
import pytest
import telegram.error
from botkit_telegram import client  # noqa: F401 - sets the library's switch for waits
from botkit_telegram.failures import (
    had_no_effect,
    is_gone,
    is_unchanged,
    is_without_origin,
    is_without_thread,
    retry_after_s,
    translated,
)
from botkit_telegram.settings import TelegramSettings
from telegram.error import BadRequest, NetworkError, RetryAfter

from botkit.errors import ConfigError, PlatformError

TOKEN = "123456789:AAFakeTokenFakeTokenFakeTokenFake00"
URL = f"http://127.0.0.1/bot{TOKEN}/sendMessage"


def made(kind: type[Exception]) -> Exception:
    """Return an error of *kind* with the token in its text."""
    if kind is telegram.error.ChatMigrated:
        return kind(5)
    if kind is RetryAfter:
        return kind(3)
    return kind(f"failed: {URL}")


@pytest.mark.parametrize("name", telegram.error.__all__)
def test_every_error_of_the_library_is_a_platform_error_without_the_token(name: str) -> None:
    error = translated(made(getattr(telegram.error, name)), "sendMessage", TOKEN)

    assert isinstance(error, PlatformError)
    assert TOKEN not in error.line()
    assert TOKEN.partition(":")[2] not in error.line()
    assert "\n" not in error.line()


@pytest.mark.parametrize("kind", [KeyError, TypeError, ValueError, AttributeError])
def test_an_answer_that_makes_no_sense_is_a_platform_error(kind: type[Exception]) -> None:
    assert "makes no sense" in translated(kind(URL), "sendMessage", TOKEN).line()


def test_a_wait_is_read_in_either_form() -> None:
    assert retry_after_s(RetryAfter(7)) == 7
    assert retry_after_s(RetryAfter(datetime.timedelta(seconds=1.5))) == 1.5


def test_only_what_never_left_may_be_sent_again() -> None:
    unsent, cut = NetworkError("no"), NetworkError("no")
    unsent.__cause__ = httpx.ConnectError("refused")
    cut.__cause__ = httpx.ReadError("cut")

    assert had_no_effect(unsent)
    assert not had_no_effect(cut)
    assert not had_no_effect(NetworkError("502"))


def test_refusals_that_can_be_mended_are_told_apart() -> None:
    assert is_unchanged(BadRequest("Message is not modified: specified new message content"))
    assert is_gone(BadRequest("Message to edit not found"))
    assert is_without_thread(BadRequest("Message thread not found"))
    assert is_without_origin(BadRequest("Message to be replied not found"))
    assert not is_gone(NetworkError("Message to edit not found"))


def test_the_token_comes_from_the_setting_or_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")

    assert TelegramSettings(token=TOKEN).read_token() == TOKEN
    assert TelegramSettings(token_file=path).read_token() == TOKEN
    assert TOKEN not in repr(TelegramSettings(token=TOKEN))


@pytest.mark.parametrize("token", ["", "none", "12:a\nb", "12:a/../x", "12:\N{SNOWMAN}"])
def test_what_cannot_be_a_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TelegramSettings(token=token).read_token()

    assert "adapters.telegram.token" in caught.value.line()
    assert token in ("", "none") or token not in caught.value.line()


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"token_file .*nothing cannot be read: No such file"):
        TelegramSettings(token_file=f"{tmp_path}/nothing").read_token()


def test_the_page_about_it_names_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "telegram.md").read_text("utf-8")
    missing = [key for key in TelegramSettings.model_fields if f"`{key}`" not in page]

    assert missing == []

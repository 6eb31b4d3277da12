"""The section ``adapters.telegram`` of the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from botkit.errors import ConfigError

API = "https://api.telegram.org"
HINT = "@BotFather gives one; set adapters.telegram.token or adapters.telegram.token_file"

_SECRET = re.compile(r"[A-Za-z0-9_-]{0,256}")


class TelegramSettings(BaseModel):
    """How the bot reaches Telegram, and how Telegram reaches the bot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Whether to connect to Telegram.")
    token: SecretStr = Field(default=SecretStr(""), description="The bot's token, from @BotFather.")
    token_file: Path | None = Field(default=None, description="A file with the token, in place of it.")
    base_url: str = Field(default=f"{API}/bot", description="The Bot API; the token is appended.")
    base_file_url: str = Field(default=f"{API}/file/bot", description="Where files are fetched.")
    mode: Literal["polling", "webhook"] = Field(default="polling", description="How updates arrive.")
    listen: str = Field(default="127.0.0.1", description="Webhook: the address to listen on.")
    port: int = Field(default=8443, ge=0, le=65535, description="Webhook: the port to listen on.")
    webhook_url: str = Field(default="", description="Webhook: the address that Telegram calls.")
    secret_token: SecretStr = Field(
        default=SecretStr(""),
        description="Webhook: what Telegram proves itself with; a fresh one for each start if empty.",
    )

    @field_validator("base_url", "base_file_url", "webhook_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme in ("http", "https") and parts.hostname):
            raise ValueError("it must begin with http:// or https:// and name a host")
        return value

    @field_validator("secret_token")
    @classmethod
    def _is_allowed(cls, value: SecretStr) -> SecretStr:
        if not _SECRET.fullmatch(value.get_secret_value()):
            raise ValueError("it may have up to 256 letters, digits, underscores and hyphens")
        return value

    def read_token(self) -> str:
        """Return the token, from its file if need be.  Raises ConfigError with one line."""
        token = self.token.get_secret_value().strip()
        if not token and self.token_file is not None:
            token = _read(self.token_file)
        if not token:
            raise ConfigError("adapters.telegram.token is not set", hint=HINT)
        if ":" not in token or not token.isascii() or not token.isprintable() or set(token) & set(" /?#%{}"):
            raise ConfigError("adapters.telegram.token does not look like a bot's token", hint=HINT)
        return token


def _read(path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"adapters.telegram.token_file {path} cannot be read: {reason}") from None

"""The section ``adapters.discord`` of the settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from botkit.errors import ConfigError

API_BASE = "https://discord.com/api/v10"
GATEWAY_URL = "wss://gateway.discord.gg/"


class DiscordSettings(BaseModel):
    """How the bot is known to Discord, and how far back it looks for what it has missed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Connect to Discord.")
    token: SecretStr | None = Field(None, description="The bot's token, from Discord's developer portal.")
    token_file: Path | None = Field(None, description="A file that holds the token.")
    api_base: str = Field(API_BASE, pattern="^https?://", description="Where the REST API is.")
    gateway_url: str = Field(GATEWAY_URL, pattern="^wss?://", description="Where the gateway is.")
    message_content: bool = Field(
        False,
        description="Ask for the privileged message content intent; without it the bot reads direct "
        "messages, mentions and replies to it.",
    )
    buttons: bool = Field(True, description="Show buttons to stop an answer and to write it anew.")
    backfill_s: float = Field(
        3600.0, ge=0, description="How old a missed message may be and still be answered, in seconds."
    )
    backfill_messages: int = Field(
        100, ge=0, description="How many missed messages of one channel are read at most."
    )

    def bot_token(self) -> str:
        """Return the token; raises ConfigError where there is none or its file cannot be read."""
        if self.token is not None and self.token.get_secret_value().strip():
            return self.token.get_secret_value().strip()
        if self.token_file is None:
            raise ConfigError(
                "adapters.discord.token is not set",
                hint="set BOTKIT_ADAPTERS__DISCORD__TOKEN, or name a file in adapters.discord.token_file",
            )
        try:
            token = self.token_file.expanduser().read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(
                f"adapters.discord.token_file {self.token_file} cannot be read: {reason}"
            ) from None
        if not token:
            raise ConfigError(f"adapters.discord.token_file {self.token_file} is empty")
        return token

"""A bot's account: what its token opens."""

from __future__ import annotations

from dataclasses import dataclass, field

from botkit.protocols import Clock
from botkit.testing.bell import Bell
from botkit.testing.telegram.updates import UpdateQueue
from botkit.testing.telegram.world import Json, User

CALLBACK_LIFETIME_S = 15.0


@dataclass(eq=False)
class Press:
    """A press of a button; ``answer`` is what the bot said to it: its text ("" for none), or None so far."""

    id: str
    data: str
    at_s: float
    answer: str | None = None
    alert: bool = False


@dataclass(eq=False)
class Hook:
    """A webhook as the bot set it."""

    url: str = ""
    secret: str = ""
    max_connections: int = 40
    last_error: str = ""
    last_error_at: int = 0


@dataclass(eq=False)
class Account:
    """One bot: its token, its settings, its updates."""

    token: str
    user: User
    clock: Clock
    bell: Bell
    reads_all: bool = True
    has_topics: bool = False
    updates: UpdateQueue = field(init=False)
    hook: Hook = field(default_factory=Hook)
    commands: dict[str, list[Json]] = field(default_factory=dict)
    presses: dict[str, Press] = field(default_factory=dict)
    answered_inline: dict[str, list[Json] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Give it its own updates."""
        self.updates = UpdateQueue(self.clock, self.bell)

    def to_api(self) -> Json:
        """Return what getMe says."""
        return {
            **self.user.to_api(),
            "can_join_groups": True,
            "can_read_all_group_messages": self.reads_all,
            "supports_inline_queries": True,
            "can_connect_to_business": False,
            "has_main_web_app": False,
            "has_topics_enabled": self.has_topics,
            "allows_users_to_create_topics": self.has_topics,
        }

"""A Bot API server for tests: over HTTP, with the platform's limits, and with faults that come by order."""

from botkit.testing.telegram.account import Account, Press
from botkit.testing.telegram.fake import FakeTelegram
from botkit.testing.telegram.faults import Fault, Flood, Gate
from botkit.testing.telegram.server import Call
from botkit.testing.telegram.world import Button, Chat, Draft, Message, Topic, User, Version

__all__ = [
    "Account",
    "Button",
    "Call",
    "Chat",
    "Draft",
    "FakeTelegram",
    "Fault",
    "Flood",
    "Gate",
    "Message",
    "Press",
    "Topic",
    "User",
    "Version",
]

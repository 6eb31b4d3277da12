"""A Telegram in a terminal, to talk to your bot: each line is a message, ``!Name`` presses a button."""

from __future__ import annotations

from botkit.testing.telegram.console import run
from botkit.testing.terminal import main

if __name__ == "__main__":
    main(run, module="botkit.testing.telegram", about=__doc__ or "", token="123456:fake")  # noqa: S106 - a fake's

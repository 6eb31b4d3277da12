"""A Discord in a terminal, to talk to your bot: each line is a message, ``!Name`` presses a button."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress

from botkit.testing.discord.console import run


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser("python -m botkit.testing.discord", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the port to listen on; 0 takes a free one")
    parser.add_argument("--token", default="fake-token", help="the token that the bot will use")
    arguments = parser.parse_args()
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(_until_told(arguments.port, arguments.token))


async def _until_told(port: int, token: str) -> None:
    task = asyncio.ensure_future(run(port, token, _write))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

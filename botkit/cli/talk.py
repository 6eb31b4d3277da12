"""The conversation of ``botkit chat``: lines from a person, answers printed as they grow.

The event loop runs in a thread of its own, so that the prompt is Python's own, with its editing, history and
Ctrl-C.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from botkit.cli.terminal import TerminalReply, message_of
from botkit.types import Message

if TYPE_CHECKING:
    from botkit.chat.service import Chat
    from botkit.cli.context import Context

PROMPT = "> "


def talk(shell: Context, opened: Callable[[], AbstractAsyncContextManager[Chat]]) -> None:
    """Read lines until there are no more, and let each be answered in one conversation."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with suppress(ImportError):
            import readline  # noqa: F401 - importing it is what gives input() its editing
    with (
        start_blocking_portal() as portal,
        shell.errors.status("Loading the model ...") as status,
        portal.wrap_async_context_manager(opened()) as chat,
    ):
        status.stop()
        if is_terminal:
            model = chat.models()[0]
            shell.errors.print(f"Talking to {model}. /help shows what you can do; Ctrl-D ends.", style="dim")
        conversation = secrets.token_hex(8)
        while (line := _read_line(is_terminal)) is not None:
            if line.strip():
                _exchange(portal, chat, message_of(line, chat=conversation))


def _read_line(is_terminal: bool) -> str | None:
    """Return the next line, or None at the end of input or at Ctrl-C."""
    try:
        return input(PROMPT if is_terminal else "")
    except (EOFError, KeyboardInterrupt):
        if is_terminal:
            sys.stdout.write("\n")
        return None


def _exchange(portal: BlockingPortal, chat: Chat, message: Message) -> None:
    """Let *message* be answered; Ctrl-C stops the answer, not the program."""
    answering: Future[Any] = portal.start_task_soon(
        chat.receive, message, TerminalReply(sys.stdout, sys.stderr)
    )
    while not answering.done():
        try:
            with suppress(CancelledError):
                answering.result()
        except KeyboardInterrupt:
            portal.call(chat.stop, message)

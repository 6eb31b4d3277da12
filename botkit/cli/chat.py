"""``botkit chat``: a conversation in the terminal."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from botkit.cli.context import INTERRUPTED, App

if TYPE_CHECKING:
    from botkit.chat.service import Chat
    from botkit.cli.context import Context
    from botkit.config import Settings
    from botkit.types import Message

app = App()


@app.command()
def chat(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model that answers.")] = None,
    once: Annotated[str | None, typer.Option(metavar="TEXT", help="Answer TEXT and end.")] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="The longest answer.")] = None,
    temperature: Annotated[float | None, typer.Option(metavar="T", help="0: the likeliest words.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Repeatable answers.")] = None,
) -> None:
    """Talk to a model in the terminal, or let it answer once.  Ctrl-C stops an answer, Ctrl-D ends."""
    from botkit import log
    from botkit.config import secrets_of

    shell: Context = context.obj
    given = {
        "model": model,
        "sampling.max_tokens": max_tokens,
        "sampling.temperature": temperature,
        "sampling.seed": seed,
    }
    settings = shell.settings(*(f"{key}={value}" for key, value in given.items() if value is not None))
    # What goes wrong is told in the conversation; the log is for whoever asks for it.
    level = settings.log.level if "level" in settings.log.model_fields_set else "critical"
    log.configure(level, settings.log.format, secrets_of(settings))
    if once is not None:
        raise typer.Exit(asyncio.run(_answer_once(shell, settings, once)))
    from botkit.cli.talk import talk

    talk(shell, lambda: opened(shell, settings))


@asynccontextmanager
async def opened(shell: Context, settings: Settings) -> AsyncIterator[Chat]:
    """Give the chat core with its model loaded.

    Where a running bot has the database, the conversation is kept in memory alone, and the person told so.
    """
    from botkit.app import check_model, open_chat
    from botkit.errors import StoreInUse

    plugins = shell.plugins()
    check_model(settings, plugins)
    core = open_chat(settings, plugins)
    try:
        service = await core.__aenter__()
    except StoreInUse as error:
        note = f"{error}: this conversation is not kept"
        shell.errors.print(note, markup=False, highlight=False, soft_wrap=True, style="dim")
        core = open_chat(settings, plugins, database_url="sqlite://")
        service = await core.__aenter__()
    try:
        await service.prepare(settings.model)
        yield service
    finally:
        await core.__aexit__(*sys.exc_info())


async def _answer_once(shell: Context, settings: Settings, text: str) -> int:
    """Answer *text*; return the exit status: 1 for a failure, 2 for a refusal, 130 for Ctrl-C."""
    from botkit.chat import commands
    from botkit.cli.terminal import OnceReply, message_of

    if parsed := commands.parse(text):
        commands.find(parsed[0])
    async with opened(shell, settings) as service:
        reply = OnceReply(None if shell.json else sys.stdout)
        message = message_of(text, chat=secrets.token_hex(8))
        started_s = time.monotonic()
        with _stopped_by_ctrl_c(service, message):
            outcome = await service.receive(message, reply)
        seconds = time.monotonic() - started_s
    complaint = reply.conclude(is_answer=outcome in ("answered", "cancelled"))
    if shell.json:
        facts = {
            "reply": reply.text,
            "model": settings.model,
            "outcome": outcome,
            "seconds": round(seconds, 3),
        }
        shell.tell("", facts)
    elif complaint:
        shell.complain(complaint)
    return {"answered": 0, "cancelled": INTERRUPTED, "refused": 2}.get(outcome or "", 1)


@contextmanager
def _stopped_by_ctrl_c(service: Chat, message: Message) -> Iterator[None]:
    """Let Ctrl-C stop the answer to *message*, so that it has an outcome, or the program where none began."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    async def stop() -> None:
        if not await service.stop(message):
            task.cancel()

    stopping: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGINT, lambda: stopping.add(loop.create_task(stop())))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)

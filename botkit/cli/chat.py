"""``botkit chat``: a conversation in the terminal."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from botkit.cli.context import App

if TYPE_CHECKING:
    from botkit.chat.service import Chat
    from botkit.cli.context import Context
    from botkit.config import Settings

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
    level = settings.log.level if "level" in settings.log.model_fields_set else "warning"
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
    from botkit.app import open_chat
    from botkit.errors import StoreInUse

    plugins = shell.plugins()
    core = open_chat(settings, plugins)
    try:
        service = await core.__aenter__()
    except StoreInUse as error:
        shell.errors.print(f"{error}: this conversation is not kept", markup=False, style="dim")
        core = open_chat(settings, plugins, database_url="sqlite://")
        service = await core.__aenter__()
    try:
        service.check_model(settings.model)
        await service.prepare(settings.model)
        yield service
    finally:
        await core.__aexit__(*sys.exc_info())


async def _answer_once(shell: Context, settings: Settings, text: str) -> int:
    """Answer *text*; return the exit status: 1 for a failure, 2 for a refusal."""
    from botkit.cli.terminal import TerminalReply, message_of

    async with opened(shell, settings) as service:
        reply = TerminalReply(None if shell.json else sys.stdout)
        started_s = time.monotonic()
        outcome = await service.receive(message_of(text, chat=secrets.token_hex(8)), reply)
        seconds = time.monotonic() - started_s
    if shell.json:
        facts = {
            "reply": reply.text,
            "model": settings.model,
            "outcome": outcome,
            "seconds": round(seconds, 3),
        }
        shell.tell("", facts)
    return {"answered": 0, "cancelled": 0, "refused": 2}.get(outcome or "", 1)

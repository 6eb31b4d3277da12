"""The chat page inside the site: NiceGUI on our server, for as long as it serves.

NiceGUI keeps its state in its own module, so a process serves the page once at a time; it may do so again.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from nicegui import Client, core, ui
from starlette.staticfiles import StaticFiles

from botkit.protocols import ChatService
from botkit_web import icons
from botkit_web.gate import PERSON
from botkit_web.page_chat import ChatPage
from botkit_web.rooms import ROOM_ID, Rooms

STATIC = Path(__file__).with_name("static")
RECONNECT_S = 30.0
"""How long a browser may be away, on the train or asleep, before its page is built anew."""


@asynccontextmanager
async def serving_page(site: FastAPI, service: ChatService) -> AsyncIterator[None]:
    """Serve the page at ``/`` of *site* while the context is open.

    On leaving, answers on their way get a few seconds before they are cancelled.
    """
    rooms = Rooms(service)
    _forget_earlier_run()
    site.mount("/static", StaticFiles(directory=STATIC))
    _add_routes(service, rooms)
    ui.run_with(
        site,
        title="botkit",
        favicon=icons.TAB,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_S,
        show_welcome_message=False,
    )
    async with AsyncExitStack() as stack:
        # The framework's own end does not come if an exception passes through its context.
        lifespan = site.router.lifespan_context(site)
        with warnings.catch_warnings():
            # It looks for its server among all objects of the process, and some of them warn when touched.
            warnings.simplefilter("ignore")
            await lifespan.__aenter__()
        stack.push_async_callback(lifespan.__aexit__, None, None, None)
        stack.push_async_callback(core.sio.shutdown)
        stack.callback(_delete_clients)
        stack.push_async_callback(rooms.aclose)
        yield


def _delete_clients() -> None:
    for client in list(Client.instances.values()):
        client.delete()


def _forget_earlier_run() -> None:
    """Undo what an earlier run in this process left in the framework."""
    core.app.middleware_stack = None
    core.app.user_middleware.clear()
    core.sio.eio.start_service_task = True
    core.sio.eio.service_task_event = None
    # Who may connect is the gate's business; the framework would open up to every site.
    core.sio.eio.cors_allowed_origins = []


def _add_routes(service: ChatService, rooms: Rooms) -> None:
    async def show(request: Request, room_id: str) -> Any:
        page = ChatPage(service, rooms, request.scope[PERSON])
        page.build()
        await page.open(room_id)
        ui.context.client.on_delete(page.close)

    async def begin(request: Request) -> None:
        await show(request, "")

    async def go_on(request: Request, room_id: str) -> Any:
        if not ROOM_ID.fullmatch(room_id):
            return RedirectResponse("/")
        return await show(request, room_id)

    ui.page("/")(begin)
    ui.page("/c/{room_id:path}")(go_on)

"""The page that asks for the key, once for each browser."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from botkit.protocols import ChatService
from botkit_web.body import read_body
from botkit_web.keys import ApiKey, Cookies, is_secure

MAX_FORM_BYTES = 4096
WRONG_KEY_PAUSE_S = 0.5
"""Slows guessing down."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>botkit</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; --ink: #24221f; --paper: #faf8f4; --line: #d9d3c8; --accent: #a4532f }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e8e4dc; --paper: #1b1a18; --line: #3b3833; --accent: #e0966e }} }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif }}
form {{ width: min(20rem, calc(100vw - 3rem)) }}
h1 {{ font: italic 2rem/1 Georgia, serif; margin: 0 0 1.5rem }}
label {{ display: block; margin-bottom: .4rem }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .6rem .8rem;
  border-radius: .6rem }}
input {{ border: 1px solid var(--line); background: transparent; color: inherit }}
:focus-visible {{ outline: 2px solid var(--accent); outline-offset: 1px }}
button {{ border: 0; margin-top: .8rem; background: var(--accent); color: var(--paper); cursor: pointer }}
p {{ color: var(--accent); min-height: 1.5em; margin: .4rem 0 0 }}
</style></head><body><form method="post" action="/key">
<h1>botkit</h1><label for="key">The key to this bot</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<p role="alert">{note}</p><button>Enter</button></form></body></html>
"""


def key_page(status: int, note: str = "") -> Response:
    """Return the page with the form."""
    return HTMLResponse(_PAGE.format(note=escape(note)), status, {"cache-control": "no-store"})


def make_key_form(service: ChatService, key: ApiKey, cookies: Cookies) -> APIRouter:
    """Return the route that the form is sent to."""
    router = APIRouter()

    @router.post("/key")
    async def take_key(request: Request) -> Response:
        form = parse_qs((await read_body(request, MAX_FORM_BYTES)).decode("utf-8", "replace"))
        if not key.opens(form.get("key", [""])[0]):
            await service.clock.sleep(WRONG_KEY_PAUSE_S)
            return key_page(403, "That is not the key.")
        response = RedirectResponse("/", 303)
        response.headers.append("set-cookie", cookies.pass_cookie(secure=is_secure(request.scope)))
        return response

    return router

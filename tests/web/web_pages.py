"""The chat page in a real browser, in the words of somebody who uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

PHONE = {"width": 390, "height": 780}
DESKTOP = {"width": 1200, "height": 800}


@dataclass
class Tab:
    """One tab; ``troubles`` collects what the browser complained about, ``foreign`` what left the site."""

    page: Page
    url: str
    troubles: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def answers(self) -> Locator:
        return self.page.locator(".answer .body")

    @property
    def questions(self) -> Locator:
        return self.page.locator(".said")

    @property
    def listed(self) -> Locator:
        return self.page.locator(".side .item")

    @property
    def composer(self) -> Locator:
        return self.page.get_by_label("Your message")

    async def visit(self, path: str = "/") -> None:
        await self.page.goto(self.url + path)
        await self.ready()

    async def reload(self) -> None:
        await self.page.reload()
        await self.ready()

    async def ready(self) -> None:
        await expect(self.page.locator(".chat.ready")).to_be_attached()

    async def say(self, text: str) -> None:
        await self.is_idle()  # while an answer is written, the page keeps what is typed and sends nothing
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def is_idle(self) -> None:
        await expect(self.page.locator(".chat.busy")).to_have_count(0)

    async def is_busy(self) -> None:
        await expect(self.page.locator(".chat.busy")).to_have_count(1)

    async def click(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).last.click()


@asynccontextmanager
async def open_tab(context: BrowserContext, url: str) -> AsyncIterator[Tab]:
    """A tab that watches itself: nothing may leave the site, and nothing may go wrong unseen."""
    tab = Tab(await context.new_page(), url)
    host = urlsplit(url).netloc

    def note_request(request_url: str) -> None:
        parts = urlsplit(request_url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != host:
            tab.foreign.append(request_url)

    tab.page.on("request", lambda request: note_request(request.url))
    tab.page.on("websocket", lambda socket: note_request(socket.url))
    tab.page.on("pageerror", lambda error: tab.troubles.append(str(error)))
    tab.page.on("console", lambda entry: tab.troubles.append(entry.text) if entry.type == "error" else None)
    yield tab
    assert tab.foreign == [], tab.foreign
    assert tab.troubles == [], tab.troubles


@asynccontextmanager
async def open_browser(
    chromium: Browser, url: str, *, viewport: dict[str, int] = DESKTOP, **options: object
) -> AsyncIterator[Tab]:
    """A tab of a browser that was never here before."""
    context = await chromium.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
    async with context, open_tab(context, url) as tab:
        await tab.visit()
        yield tab

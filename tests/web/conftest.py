"""A site that serves for one test, and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from chromium import FLAGS, find_chromium
from openai import AsyncOpenAI
from playwright.async_api import Browser, async_playwright
from web_sites import RunningSite, running_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[RunningSite]:
    async with running_site(tmp_path) as running:
        yield running


@pytest.fixture
async def http(site: RunningSite) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=site.url, timeout=20) as client:
        yield client


@pytest.fixture
async def openai(site: RunningSite) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{site.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The path of the Chromium that the page is tested in."""
    return find_chromium()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(chromium_path: str) -> AsyncIterator[Browser]:
    """A running Chromium, started once: the tests that use it share its event loop."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=list(FLAGS))
        yield browser
        await browser.close()

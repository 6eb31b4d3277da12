"""A site that serves for one test, and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from openai import AsyncOpenAI
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

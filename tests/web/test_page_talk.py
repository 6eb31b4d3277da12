"""Talking on the page, in a real Chromium: asking, reading along, stopping, writing anew."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from web_pages import Tab, open_browser, open_tab
from web_sites import HaltingBackend, RunningSite, running_site, until

from botkit.clock import SystemClock
from botkit.errors import BackendDied
from botkit.testing.scripted import ScriptedBackend, words

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PAGE = ("web.page=true",)
MARKDOWN = """# A title

Some **bold** and `code`.

1. first
2. second

```python
def f(x):
    return x  # done
```

| a | b |
| - | - |
| 1 | 2 |
"""


@pytest_asyncio.fixture(loop_scope="session")
async def site(tmp_path: Path) -> AsyncIterator[RunningSite]:
    async with running_site(tmp_path, overrides=PAGE) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def tab(site: RunningSite, chromium: Browser) -> AsyncIterator[Tab]:
    async with open_browser(chromium, site.url) as opened:
        yield opened


async def test_what_is_said_is_answered(tab: Tab) -> None:
    await tab.say("good morning to you")

    await expect(tab.questions).to_have_text(["good morning to you"])
    await expect(tab.answers).to_have_text(["good morning to you"])
    await tab.is_idle()
    await expect(tab.composer).to_have_value("")
    await expect(tab.composer).to_be_focused()


async def test_an_answer_is_read_while_it_is_written(tmp_path: Path, chromium: Browser) -> None:
    backend = HaltingBackend(n_chunks=2)
    async with (
        running_site(tmp_path, backend, overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        await tab.say("one two three four")

        await expect(tab.answers).to_have_text(["one two"])
        await tab.is_busy()
        await expect(tab.page.get_by_role("button", name="Send")).to_be_hidden()
        backend.gate.set()
        await expect(tab.answers).to_have_text(["one two three four"])
        await tab.is_idle()


async def test_enter_sends_and_shift_enter_begins_a_line(tab: Tab) -> None:
    await tab.composer.fill("first")
    await tab.composer.press("Shift+Enter")
    await tab.composer.press_sequentially("second")
    await expect(tab.composer).to_have_value("first\nsecond")

    await tab.composer.press("Enter")

    await expect(tab.questions).to_have_text(["first\nsecond"])


async def test_nothing_is_sent_when_there_is_nothing_to_send(site: RunningSite, tab: Tab) -> None:
    await tab.say("  ")
    await tab.say("now")

    await expect(tab.answers).to_have_text(["now"])
    assert len(site.backend.requests) == 1


async def test_markdown_is_shown_as_what_it_means(tmp_path: Path, chromium: Browser) -> None:
    backend = ScriptedBackend(SystemClock(), lambda _: re.findall(r"\s*\S+\s*?", MARKDOWN))
    async with (
        running_site(tmp_path, backend, overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        await tab.say("show me")
        await tab.is_idle()

        for _ in ("as it was written", "as it is stored"):
            body = tab.answers.first
            await expect(body.locator("h1")).to_have_text("A title")
            await expect(body.locator("strong")).to_have_text("bold")
            await expect(body.locator("ol li")).to_have_text(["first", "second"])
            await expect(body.locator("pre code")).to_have_text("def f(x):\n    return x  # done")
            await expect(body.locator("pre .k").first).to_have_text("def")
            await expect(body.locator("td")).to_have_text(["1", "2"])
            await tab.reload()


async def test_code_and_answers_are_copied(tmp_path: Path, chromium: Browser) -> None:
    backend = ScriptedBackend(SystemClock(), lambda _: ["see\n\n", "```\nx = 1\n```"])
    async with (
        running_site(tmp_path, backend, overrides=PAGE) as site,
        open_browser(chromium, site.url, permissions=["clipboard-read", "clipboard-write"]) as tab,
    ):
        await tab.say("show me")
        await tab.is_idle()

        await tab.click("Copy")
        assert (await tab.page.evaluate("navigator.clipboard.readText()")).strip() == "x = 1"
        await tab.click("Copy the answer")
        assert (await tab.page.evaluate("navigator.clipboard.readText()")).startswith("see")


async def test_stop_ends_the_work_and_keeps_what_was_written(tmp_path: Path, chromium: Browser) -> None:
    backend = HaltingBackend(n_chunks=2)
    async with (
        running_site(tmp_path, backend, overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        await tab.say("one two three four")
        await expect(tab.answers).to_have_text(["one two"])

        await tab.click("Stop the answer")

        await tab.is_idle()
        assert backend.running == 0
        await expect(tab.answers).to_have_text(["one two"])
        await tab.reload()
        await expect(tab.answers).to_have_text(["one two"])


async def test_an_answer_is_written_anew_in_its_place(tmp_path: Path, chromium: Browser) -> None:
    tries = iter(("the first try", "the second try", "the third try"))
    backend = ScriptedBackend(SystemClock(), lambda _: words(next(tries)))
    async with (
        running_site(tmp_path, backend, overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        await tab.say("try")
        await expect(tab.answers).to_have_text(["the first try"])

        await tab.click("Write this answer anew")
        await expect(tab.answers).to_have_text(["the second try"])
        await tab.is_idle()
        await tab.say("/regenerate")
        await expect(tab.answers).to_have_text(["the third try"])
        await tab.is_idle()

        await tab.reload()
        await expect(tab.questions).to_have_text(["try"])
        await expect(tab.answers).to_have_text(["the third try"])


async def test_commands_are_text_like_any_other(tab: Tab) -> None:
    await tab.say("/help")

    await expect(tab.answers).to_contain_text(["/regenerate"])
    await expect(tab.page.get_by_role("button", name="Write this answer anew")).to_have_count(0)


async def test_what_goes_wrong_is_told(site: RunningSite, tab: Tab) -> None:
    site.backend.fail_after(0, BackendDied("the engine is gone"))

    await tab.say("hello")

    await expect(tab.answers).to_contain_text(["My model failed on this one."])
    await tab.is_idle()


async def test_the_place_in_line_is_shown(tmp_path: Path, chromium: Browser) -> None:
    backend = HaltingBackend(n_chunks=0)
    backend.slots = 1
    async with (
        running_site(tmp_path, backend, overrides=PAGE) as site,
        open_browser(chromium, site.url) as first,
        open_browser(chromium, site.url) as second,
        open_browser(chromium, site.url) as third,
    ):
        await first.say("one")
        await until(lambda: backend.running == 1)
        await second.say("two")
        await expect(second.page.locator(".place")).to_contain_text("You are next")
        await third.say("three")
        await expect(third.page.locator(".place")).to_contain_text("1 before you")

        backend.gate.set()

        await expect(third.answers).to_have_text(["three"])
        await expect(third.page.locator(".place")).to_have_count(0)


async def test_a_reload_in_mid_answer_shows_the_question_and_goes_on_reading(
    tmp_path: Path, chromium: Browser
) -> None:
    backend = HaltingBackend(n_chunks=2)
    async with (
        running_site(tmp_path, backend, overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        await tab.say("one two three four")
        await expect(tab.answers).to_have_text(["one two"])

        await tab.reload()

        await expect(tab.questions).to_have_text(["one two three four"])
        await expect(tab.answers).to_have_text(["one two"])
        backend.gate.set()
        await expect(tab.answers).to_have_text(["one two three four"])
        await tab.is_idle()


async def test_an_answer_is_there_though_nobody_waited_for_it(tmp_path: Path, chromium: Browser) -> None:
    backend = HaltingBackend(n_chunks=1)
    async with (
        running_site(tmp_path, backend, overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        await tab.say("one two")
        await expect(tab.answers).to_have_text(["one"])
        address = tab.page.url
        await tab.page.goto("about:blank")

        backend.gate.set()
        await until(lambda: backend.running == 0)
        await tab.page.goto(address)

        await expect(tab.answers).to_have_text(["one two"])


async def test_two_tabs_show_the_same_conversation(site: RunningSite, tab: Tab) -> None:
    await tab.say("from the first")
    await expect(tab.answers).to_have_text(["from the first"])

    async with open_tab(tab.page.context, site.url) as other:
        await other.visit(tab.page.url.removeprefix(site.url))
        await other.say("from the second")

        for one in (tab, other):
            await expect(one.questions).to_have_text(["from the first", "from the second"])
            await expect(one.answers).to_have_text(["from the first", "from the second"])


async def test_a_message_that_was_lost_on_the_way_is_sent_again_once(site: RunningSite, tab: Tab) -> None:
    await tab.page.evaluate("window.lost = window.emitEvent; window.emitEvent = () => {}")
    await tab.say("do not lose me")
    await tab.reload()

    await expect(tab.answers).to_have_text(["do not lose me"])
    await tab.reload()
    await expect(tab.questions).to_have_text(["do not lose me"])
    assert len(site.backend.requests) == 1

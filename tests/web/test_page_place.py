"""The page around the conversation: the list, the models, the colours, small screens, and who may look."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from web_pages import PHONE, Tab, open_browser, open_tab
from web_sites import RunningSite, running_site

from botkit.clock import SystemClock
from botkit.testing.scripted import ScriptedBackend, words

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PAGE = ("web.page=true",)
KEY = "a-long-random-word"


@pytest_asyncio.fixture(loop_scope="session")
async def site(tmp_path: Path) -> AsyncIterator[RunningSite]:
    async with running_site(tmp_path, overrides=PAGE) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def tab(site: RunningSite, chromium: Browser) -> AsyncIterator[Tab]:
    async with open_browser(chromium, site.url) as opened:
        yield opened


async def ask(tab: Tab, text: str) -> None:
    await tab.say(text)
    await expect(tab.answers.last).to_have_text(text)
    await tab.is_idle()


async def test_conversations_are_listed_newest_first_and_opened_again(tab: Tab) -> None:
    await ask(tab, "about the sea")
    await tab.page.get_by_role("button", name="Begin a new conversation").first.click()
    await expect(tab.questions).to_have_count(0)
    await expect(tab.page.locator(".greeting")).to_be_visible()
    await ask(tab, "about the hills")

    await expect(tab.listed).to_have_text(["about the hills", "about the sea"])
    await expect(tab.page.locator(".item.here")).to_have_text("about the hills")
    await expect(tab.page).to_have_title("about the hills - botkit")

    await tab.listed.nth(1).click()
    await expect(tab.questions).to_have_text(["about the sea"])
    await expect(tab.page.locator(".item.here")).to_have_text("about the sea")
    await tab.page.go_back()
    await expect(tab.questions).to_have_text(["about the hills"])


async def test_a_reload_shows_the_same_conversation(tab: Tab) -> None:
    await ask(tab, "remember me")
    await expect(tab.page).to_have_url(
        f"{tab.url}/c/{await tab.page.locator('.chat').get_attribute('data-room')}"
    )

    await tab.reload()

    await expect(tab.questions).to_have_text(["remember me"])
    await expect(tab.answers).to_have_text(["remember me"])
    await expect(tab.listed).to_have_text(["remember me"])


async def test_a_draft_outlives_a_reload(tab: Tab) -> None:
    await tab.composer.fill("half a thou")

    await tab.reload()

    await expect(tab.composer).to_have_value("half a thou")


async def test_an_idea_is_asked_with_a_click(tab: Tab) -> None:
    await tab.page.get_by_role("button", name="Write a haiku about rain").click()

    await expect(tab.answers).to_have_text(["Write a haiku about rain"])


async def test_a_model_is_chosen_for_a_conversation(tmp_path: Path, chromium: Browser) -> None:
    backends = [
        ScriptedBackend(SystemClock(), lambda _, name=name: [f"I am {name}"], model=name)
        for name in ("small", "large")
    ]
    async with (
        running_site(tmp_path, *backends, overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        models = tab.page.get_by_label("Model")
        await expect(models).to_have_value("small")
        await models.select_option("large")
        await tab.say("who are you?")
        await expect(tab.answers).to_have_text(["I am large"])
        await tab.reload()
        await expect(models).to_have_value("large")

        await tab.say("/model small")
        await expect(models).to_have_value("small")
        await tab.page.get_by_role("button", name="Begin a new conversation").first.click()
        await expect(tab.questions).to_have_count(0)
        await expect(models).to_have_value("small")


async def paper(tab: Tab) -> str:
    return await tab.page.evaluate("getComputedStyle(document.querySelector('.chat')).backgroundColor")


async def test_colours_follow_the_system_until_they_are_chosen_and_stay(tab: Tab) -> None:
    await tab.page.emulate_media(color_scheme="light")
    light = await paper(tab)
    await tab.page.emulate_media(color_scheme="dark")
    dark = await paper(tab)
    assert light != dark

    theme = tab.page.get_by_role("button", name="Light or dark")
    await theme.click()
    assert await paper(tab) == light
    await theme.click()
    assert await paper(tab) == dark
    await tab.page.emulate_media(color_scheme="light")
    await tab.reload()
    assert await paper(tab) == dark


async def test_a_phone_shows_all_of_it_without_scrolling_sideways(
    site: RunningSite, chromium: Browser
) -> None:
    async with open_browser(chromium, site.url, viewport=PHONE, is_mobile=True, has_touch=True) as tab:
        wide = "w" * 300 + " " + " ".join(["word"] * 80)
        await ask(tab, wide)

        assert await tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert await tab.page.evaluate("document.querySelector('.scroll').scrollWidth") <= PHONE["width"]
        await expect(tab.listed).to_be_hidden()
        await tab.page.get_by_role("button", name="Conversations").tap()
        await expect(tab.listed).to_be_visible()
        await tab.listed.first.tap()
        await expect(tab.listed).to_be_hidden()
        await expect(tab.page.get_by_role("button", name="Send")).to_be_in_viewport()


EVIL = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "[a](javascript:window.hacked=1)",
    "![b](https://evil.example/pixel.png)",
    "<iframe src=https://evil.example></iframe><svg onload=window.hacked=1>",
    "[c](data:text/html,<script>alert(1)</script>)",
    "</textarea></script>`${window.hacked=1}`{{window.hacked=1}}",
    "```html\n<img src=x onerror=window.hacked=1>\n```",
    "| <b onmouseover=window.hacked=1> |\n|-|\n| ![x](//evil.example/y.png) |",
)


async def test_nothing_that_is_said_or_answered_becomes_code_or_a_request(
    site: RunningSite, tab: Tab
) -> None:
    # The tab itself fails if anything is asked for elsewhere, or a script breaks.
    for text in EVIL:
        await tab.say(text)
        await expect(tab.questions.last).to_have_text(text, use_inner_text=True)
        await tab.is_idle()
    for _ in ("as it was written", "as it is stored"):
        await expect(tab.answers).to_have_count(len(EVIL))
        assert await tab.page.evaluate("window.hacked") is None
        for tag in ("script", "img", "iframe", "svg", "b", "[onerror]", "[onload]", "[href^='javascript']"):
            await expect(tab.answers.locator(tag)).to_have_count(0)
            await expect(tab.questions.locator(tag)).to_have_count(0)
        await tab.reload()


async def test_a_title_or_a_name_becomes_no_code_either(tmp_path: Path, chromium: Browser) -> None:
    evil = "<img src=x onerror=window.hacked=1>"
    backend = ScriptedBackend(SystemClock(), model="<b>\"'model</b>")
    async with (
        running_site(tmp_path, overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        site.backends[backend.model] = backend
        await tab.say(evil)
        await expect(tab.listed).to_have_text([evil])
        await tab.reload()
        await tab.page.get_by_label("Model").select_option(backend.model)
        await ask(tab, "hello")

        assert len(backend.requests) == 1
        assert await tab.page.evaluate("window.hacked") is None


async def test_a_link_opens_beside_the_page(tmp_path: Path, chromium: Browser) -> None:
    async with running_site(tmp_path, overrides=PAGE) as site:
        link = f"[there]({site.url}/livez)"
        site.backend._script = lambda _: words(link)
        async with open_browser(chromium, site.url) as tab:
            await tab.say("where?")
            await tab.is_idle()
            async with tab.page.context.expect_page() as opened:
                await tab.page.get_by_role("link", name="there").click()
            other = await opened.value

            assert other.url == f"{site.url}/livez"
            assert await other.evaluate("window.opener") is None


async def test_a_browser_sees_its_own_conversations_only(
    site: RunningSite, chromium: Browser, tab: Tab
) -> None:
    await ask(tab, "my secret")
    address = tab.page.url.removeprefix(site.url)

    async with open_browser(chromium, site.url) as other:
        await other.visit(address)
        await expect(other.listed).to_have_count(0)
        await expect(other.questions).to_have_count(0)
        await ask(other, "who is here?")

    await tab.reload()
    await expect(tab.questions).to_have_text(["my secret"])


async def test_a_person_is_a_random_id_of_the_web(site: RunningSite, tab: Tab) -> None:
    await ask(tab, "hello")

    person = site.backend.requests[0].person
    assert person.startswith("web:")
    assert len(person) > 30
    cookies = {one["name"].split("_")[1]: one for one in await tab.page.context.cookies()}
    assert cookies["person"]["httpOnly"]
    assert cookies["person"]["sameSite"] == "Lax"


async def test_the_key_is_asked_for_once(tmp_path: Path, chromium: Browser) -> None:
    async with running_site(tmp_path, overrides=(*PAGE, f"web.api_key={KEY}")) as site:
        context = await chromium.new_context()
        async with context, open_tab(context, site.url) as tab:
            await tab.page.goto(site.url)
            await tab.page.get_by_label("The key to this bot").fill("wrong")
            await tab.page.get_by_role("button", name="Enter").click()
            await expect(tab.page.get_by_role("alert")).to_have_text("That is not the key.")
            await tab.page.get_by_label("The key to this bot").fill(KEY)
            await tab.page.get_by_role("button", name="Enter").click()
            await tab.ready()
            await ask(tab, "hello")
            await tab.visit()
            # The browser tells of the answers 401 and 403 by itself.
            tab.troubles = [one for one in tab.troubles if "status of 40" not in one]


async def test_without_the_key_nothing_of_the_page_is_given(tmp_path: Path) -> None:
    async with (
        running_site(tmp_path, overrides=(*PAGE, f"web.api_key={KEY}")) as site,
        httpx.AsyncClient(base_url=site.url, headers={"accept": "text/html"}) as client,
    ):
        for path in (
            "/",
            "/c/0123456789abcdef",
            "/static/chat.js",
            "/_nicegui_ws/socket.io/?EIO=4&transport=polling",
        ):
            assert (await client.get(path)).status_code == 401
        assert (await client.post("/key", data={"key": "wrong"})).status_code == 403
        assert (await client.post("/key", content=b"x" * 5000)).status_code == 413
        client.cookies.set("botkit_pass_00000000", "pass.forged")
        assert (await client.get("/")).status_code == 401


async def test_other_sites_cannot_read_along(site: RunningSite) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    address = site.url.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(InvalidStatus, match="403"):
        async with connect(address, origin="https://evil.example"):
            pass
    async with httpx.AsyncClient(base_url=site.url) as client:
        path = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        response = await client.get(path, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers


async def test_nothing_on_the_page_can_reach_elsewhere(tab: Tab) -> None:
    reached = await tab.page.evaluate("fetch('http://localhost:1/').then(() => 'reached', () => 'refused')")

    assert reached == "refused"
    assert any("Content Security Policy" in trouble for trouble in tab.troubles)
    tab.troubles.clear()
    tab.foreign.clear()


async def test_an_address_that_is_none_begins_anew(tab: Tab) -> None:
    for path in ("/c/..%2f..%2fetc", "/c/0123456789ABCDEF", "/c/"):
        await tab.visit(path)
        await expect(tab.page).to_have_url(f"{tab.url}/")


async def test_where_nothing_is_it_says_so(site: RunningSite) -> None:
    async with httpx.AsyncClient(base_url=site.url) as client:
        assert (await client.get("/admin")).status_code == 404
        assert (await client.get("/static/../page.py")).status_code == 404
        assert (await client.get("/static/%2e%2e/page.py")).status_code == 404


async def test_nothing_is_written_beside_the_data_folder(
    tmp_path: Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    async with (
        running_site(tmp_path / "data", overrides=PAGE) as site,
        open_browser(chromium, site.url) as tab,
    ):
        await ask(tab, "hello")

    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_stopping_with_open_pages_takes_little_time_and_loses_no_answer(
    tmp_path: Path, chromium: Browser
) -> None:
    backend = ScriptedBackend(SystemClock(), chunk_s=0.05)
    async with running_site(tmp_path, backend, overrides=PAGE) as site:
        context = await chromium.new_context()
        async with context, open_tab(context, site.url) as tab:
            await tab.visit()
            await tab.say(" ".join(["word"] * 30))
            await expect(tab.answers).to_contain_text(["word"])
            began = site.chat.clock.monotonic()
            site.serving.cancel()
            while not site.serving.done():
                await site.chat.clock.sleep(0.05)
            assert site.chat.clock.monotonic() - began < 7
            tab.troubles.clear()  # the browser tells that the connection is lost
            state = await context.storage_state()

    async with running_site(tmp_path, backend, overrides=PAGE) as site:
        context = await chromium.new_context(storage_state=json.loads(json.dumps(state)))
        async with context, open_tab(context, site.url) as tab:
            await tab.visit()
            await tab.listed.first.click()
            await expect(tab.answers).to_have_text([" ".join(["word"] * 30)])


async def test_the_page_starts_beside_objects_that_warn_when_they_are_touched(tmp_path: Path) -> None:
    class Deprecated:
        @property  # type: ignore[misc]
        def __class__(self) -> type:
            warnings.warn("old", FutureWarning, stacklevel=2)
            return Deprecated

    kept = [Deprecated()]

    async with running_site(tmp_path, overrides=PAGE):
        assert kept

"""Who may come in, under which name, with which key."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from botkit_web.gate import is_loopback
from botkit_web.keys import ApiKey, Cookies, open_secret
from web_sites import RunningSite, running_site

from botkit.errors import EnvironmentFailure

KEY = "a-long-random-word"
CHAT = "/v1/chat/completions"
ASK = {"model": "scripted", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a site with a key."""
    async with (
        running_site(tmp_path, overrides=(f"web.api_key={KEY}",)) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        yield client


async def test_without_a_key_in_the_settings_none_is_asked_for(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/models")).status_code == 200
    assert (await http.get("/metrics")).status_code == 200


async def test_with_a_key_the_api_and_the_metrics_want_it(locked: httpx.AsyncClient) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {KEY}"}):
        for path in ("/v1/models", "/v1/models/scripted", "/metrics", "/v1/nothing"):
            response = await locked.get(path, headers=headers)
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "invalid_api_key"
        assert (await locked.post(CHAT, json=ASK, headers=headers)).status_code == 401

    right = {"authorization": f"Bearer {KEY}"}
    assert (await locked.get("/v1/models", headers=right)).status_code == 200
    assert (await locked.get("/metrics", headers=right)).status_code == 200
    assert (await locked.post(CHAT, json=ASK, headers=right)).status_code == 200


async def test_a_key_with_strange_characters_is_only_wrong(locked: httpx.AsyncClient) -> None:
    response = await locked.get("/v1/models", headers=[(b"authorization", "Bearer schlüssel".encode())])

    assert response.status_code == 401


async def test_life_and_readiness_are_open(locked: httpx.AsyncClient) -> None:
    assert (await locked.get("/livez")).status_code == 200
    assert (await locked.get("/readyz")).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""])
async def test_on_loopback_foreign_names_are_refused(http: httpx.AsyncClient, host: str) -> None:
    response = await http.get("/v1/models", headers={"host": host})

    assert response.status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]", "[::1]:99"])
async def test_on_loopback_the_names_of_this_machine_are_answered(http: httpx.AsyncClient, host: str) -> None:
    assert (await http.get("/v1/models", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_other_sites_cannot_make_a_browser_ask(
    site: RunningSite, http: httpx.AsyncClient, origin: str
) -> None:
    response = await http.post(CHAT, json=ASK, headers={"origin": origin})

    assert response.status_code == 403
    assert site.backend.requests == []


async def test_the_site_itself_may_ask(site: RunningSite, http: httpx.AsyncClient) -> None:
    assert (await http.post(CHAT, json=ASK, headers={"origin": site.url})).status_code == 200


async def test_every_answer_has_security_headers_and_none_opens_up_to_other_sites(
    http: httpx.AsyncClient,
) -> None:
    for path in ("/livez", "/v1/models", "/nothing"):
        headers = (await http.get(path, headers={"origin": "https://evil.example"})).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("example.org", False), ("", False),
    ],
)  # fmt: skip
def test_loopback_is_recognised(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_cookies_are_believed_only_if_signed_here() -> None:
    ours, theirs = Cookies(b"ours", ApiKey("")), Cookies(b"theirs", ApiKey(""))
    cookie = ours.person_cookie("abc", secure=False).partition(";")[0]
    name, _, value = cookie.partition("=")

    assert ours.person(f"other=1; {cookie}") == "abc"
    assert ours.person(f"{name}=abd{value[3:]}") is None
    assert ours.person(f"{name}=") is None
    assert ours.person("") is None
    assert ours.person(theirs.person_cookie("abc", secure=False)) is None


def test_the_pass_of_an_old_key_is_worth_nothing() -> None:
    before, after = Cookies(b"secret", ApiKey("old")), Cookies(b"secret", ApiKey("new"))
    cookie = before.pass_cookie(secure=True)

    assert before.has_pass(cookie)
    assert not after.has_pass(cookie)
    assert "HttpOnly" in cookie
    assert "Secure" in cookie
    assert "SameSite=Lax" in cookie


def test_a_persons_cookie_is_no_pass() -> None:
    cookies = Cookies(b"secret", ApiKey("key"))
    value = cookies.person_cookie("pass", secure=False).partition(";")[0].partition("=")[2]

    assert not cookies.has_pass(f"{cookies.pass_name}={value}")


def test_the_secret_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = open_secret(tmp_path)

    assert len(first) == 64
    assert open_secret(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "web.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["web.key"]


def test_a_secret_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EnvironmentFailure, match=r"web\.key"):
        open_secret(tmp_path / "file")

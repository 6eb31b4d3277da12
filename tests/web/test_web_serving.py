"""Starting, watching, stopping the server."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import httpx
import pytest
from botkit_web import register_adapters
from botkit_web.adapter import WebAdapter
from web_sites import HaltingBackend, RunningSite, running_site, until

from botkit.errors import ConfigError, EnvironmentFailure
from botkit.hookspecs import AdapterSpec

CHAT = "/v1/chat/completions"
ASK = {"model": "scripted", "messages": [{"role": "user", "content": "one two three"}], "stream": True}


def test_the_adapter_is_registered_and_enabled_by_its_setting(tmp_path: Path) -> None:
    from botkit.config import load_settings

    found: list[AdapterSpec] = []
    register_adapters(found.append)

    assert [spec.name for spec in found] == ["web"]
    assert found[0].enabled(load_settings(tmp_path))
    assert not found[0].enabled(load_settings(tmp_path, overrides=["web.enabled=false"]))
    assert isinstance(found[0].create(load_settings(tmp_path)), WebAdapter)


async def test_it_tells_the_address_it_is_reached_under(site: RunningSite) -> None:
    assert site.url.startswith("http://127.0.0.1:")
    assert not site.url.endswith(":0")


async def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EnvironmentFailure, match=f"127.0.0.1 port {port}"):
            async with running_site(tmp_path, overrides=(f"web.port={port}",)):
                pass


@pytest.mark.parametrize("host", ["127.0.0.1.5", "no such host", "203.0.113.7"])
async def test_a_host_that_cannot_be_had_is_one_line(tmp_path: Path, host: str) -> None:
    with pytest.raises(EnvironmentFailure, match=host):
        async with running_site(tmp_path, overrides=(f"web.host={host}", "web.api_key=long")):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "bot.example"])
async def test_a_host_beyond_this_machine_wants_a_key(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.api_key"):
        async with running_site(tmp_path, overrides=(f"web.host={host}",)):
            pass


async def test_beyond_this_machine_any_name_is_answered(tmp_path: Path) -> None:
    overrides = ("web.host=0.0.0.0", "web.api_key=long")
    async with running_site(tmp_path, overrides=overrides) as site, httpx.AsyncClient() as client:
        url = site.url.replace("0.0.0.0", "127.0.0.1")
        response = await client.get(
            f"{url}/v1/models", headers={"host": "x.example", "authorization": "Bearer long"}
        )

    assert response.status_code == 200


async def test_the_same_process_can_serve_again(tmp_path: Path) -> None:
    for name in ("first", "second"):
        async with running_site(tmp_path / name) as site, httpx.AsyncClient() as client:
            assert (await client.get(f"{site.url}/livez")).text == "alive\n"


async def test_ready_tells_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_site(tmp_path) as site, httpx.AsyncClient(base_url=site.url) as client:
        fine = await client.get("/readyz")
        monkeypatch.setattr(site.chat, "_other_parts", lambda: {"adapter discord": "connecting"})
        not_fine = await client.get("/readyz")

    assert (fine.status_code, fine.json()) == (200, {"ready": True, "missing": {}})
    assert not_fine.status_code == 503
    assert not_fine.json()["missing"] == {"adapter discord": "connecting"}


async def test_metrics_count_tokens(http: httpx.AsyncClient) -> None:
    await http.post(CHAT, json=ASK)

    metrics = (await http.get("/metrics")).text

    assert 'botkit_tokens_total{kind="completion"} 3.0' in metrics


async def test_a_client_that_leaves_a_stream_ends_the_work(tmp_path: Path) -> None:
    backend = HaltingBackend(n_chunks=1)
    async with running_site(tmp_path, backend) as site, httpx.AsyncClient(base_url=site.url) as client:
        async with client.stream("POST", CHAT, json=ASK) as response:
            assert response.status_code == 200
            assert backend.running == 1

        await until(lambda: backend.running == 0)

    assert backend.n_cancelled == 1


async def test_a_client_that_does_not_wait_for_its_answer_ends_the_work(
    site: RunningSite, http: httpx.AsyncClient
) -> None:
    site.backend.gate.clear()
    asking = asyncio.create_task(http.post(CHAT, json=ASK | {"stream": False}))
    await until(lambda: site.backend.running == 1)

    asking.cancel()

    await until(lambda: site.backend.running == 0)
    assert site.backend.n_cancelled == 1


async def test_stopping_ends_open_streams_with_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    backend = HaltingBackend(n_chunks=1)
    async with running_site(tmp_path, backend) as site, httpx.AsyncClient(base_url=site.url) as client:
        async with client.stream("POST", CHAT, json=ASK) as response:
            site.serving.cancel()
            async with asyncio.timeout(5):
                text = (await response.aread()).decode()
                await asyncio.wait([site.serving])

        assert '"code":"backend_unavailable"' in text
        assert "[DONE]" not in text
        assert backend.running == 0
        assert site.serving.cancelled()
        with pytest.raises(httpx.ConnectError):
            await client.get("/livez")


async def test_a_client_that_sends_nothing_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        host, port = site.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{")
        await writer.drain()
        async with httpx.AsyncClient() as client:
            await client.get(f"{site.url}/livez")

        site.serving.cancel()
        async with asyncio.timeout(6):
            await asyncio.wait([site.serving])
        writer.close()

    assert site.serving.cancelled()


async def test_the_loops_signals_are_left_alone(site: RunningSite) -> None:
    import signal

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

"""What clients may send, and what they are told when they may not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from web_sites import RunningSite

CHAT = "/v1/chat/completions"
ASK = {"model": "scripted", "messages": [{"role": "user", "content": "hello"}]}


def turned_down(response: httpx.Response) -> dict[str, str | None]:
    """Return the error of *response*, which has OpenAI's shape and nothing else."""
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    return body["error"]


MALFORMED = {
    "empty": b"",
    "not json": b"{",
    "not an object": b"[1]",
    "not utf-8": b'{"model": "\xff"}',
    "too deep": b'{"messages": ' + b"[" * 200_000,
    "a number without end": b'{"seed": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_body_that_is_no_request_is_turned_down(http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.post(CHAT, content=body)

    assert response.status_code == 400
    turned_down(response)


OFF = {
    "messages": {"messages": None},
    "messages ": {"messages": []},
    "messages  ": {"messages": [{"role": "user", "content": " \n\t"}]},
    "messages   ": {"messages": [{"role": "user", "content": "\x00\x07"}]},
    "messages[0].role": {"messages": [{"role": "tool", "content": "x"}]},
    "messages[0].content": {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    "messages[0].content ": {"messages": [{"role": "user"}]},
    "messages[0].content  ": {"messages": [{"role": "user", "content": 5}]},
    "messages[0].name": {"messages": [{"role": "user", "content": "x", "name": "bob"}]},
    "model": {"model": 5},
    "temperature": {"temperature": 3},
    "temperature ": {"temperature": "0.5"},
    "temperature  ": {"temperature": float("nan")},
    "top_p": {"top_p": 0},
    "max_tokens": {"max_tokens": 0},
    "seed": {"seed": 2**64},
    "stop": {"stop": ["a"] * 5},
    "stop[0]": {"stop": ""},
    "n": {"n": 2},
    "n ": {"n": True},
    "tools": {"tools": [{"type": "function"}]},
    "response_format": {"response_format": {"type": "json_object"}},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "logit_bias": {"logit_bias": {"5": 1}},
    "top_logprobs": {"logprobs": True, "top_logprobs": 21},
    "top_logprobs ": {"top_logprobs": 2},
    "stream_options": {"stream_options": {"include_usage": True}},
    "temprature": {"temprature": 0.5},
}


@pytest.mark.parametrize(("param", "change"), OFF.items(), ids=OFF)
async def test_a_parameter_that_is_off_is_named(
    site: RunningSite, http: httpx.AsyncClient, param: str, change: dict[str, object]
) -> None:
    response = await http.post(CHAT, content=json.dumps(ASK | change))

    assert response.status_code == 400
    assert turned_down(response)["param"] == param.strip()
    assert site.backend.requests == []


async def test_an_unknown_parameter_names_the_nearest(http: httpx.AsyncClient) -> None:
    response = await http.post(CHAT, json=ASK | {"temprature": 0.5})

    assert "did you mean 'temperature'?" in (turned_down(response)["message"] or "")


async def test_parameters_that_ask_for_what_happens_anyway_are_fine(http: httpx.AsyncClient) -> None:
    harmless = {"n": 1, "presence_penalty": 0.0, "tools": [], "tool_choice": None, "store": False}

    response = await http.post(CHAT, json=ASK | harmless | {"response_format": {"type": "text"}})

    assert response.status_code == 200


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], 5, None])
async def test_a_completion_wants_one_text(http: httpx.AsyncClient, prompt: object) -> None:
    response = await http.post("/v1/completions", json={"model": "scripted", "prompt": prompt})

    assert response.status_code == 400
    assert turned_down(response)["param"] == "prompt"


async def test_strange_characters_do_no_harm(site: RunningSite, http: httpx.AsyncClient) -> None:
    text = "a\\ud800 \\u0000\\u001b[31m \\ud83d\\ude00"

    response = await http.post(CHAT, content=json.dumps(ASK).replace("hello", text))

    assert response.json()["choices"][0]["message"]["content"] == "a\ufffd \x00\x1b[31m \U0001f600"
    assert site.backend.requests[0].turns[0].text == "a\ufffd \x00\x1b[31m \U0001f600"


async def test_a_surrogate_in_a_name_does_no_harm(http: httpx.AsyncClient) -> None:
    response = await http.post(
        CHAT, content='{"model": "\\udfff", "messages": [{"role": "user", "content": "a"}]}'
    )

    assert response.status_code == 404
    turned_down(response)


async def test_a_megabyte_is_the_most_that_is_read(http: httpx.AsyncClient) -> None:
    big = json.dumps(ASK | {"user": "x" * 1024 * 1024})

    response = await http.post(CHAT, content=big)

    assert response.status_code == 413
    assert turned_down(response)["code"] == "body_too_large"


async def test_a_body_is_capped_while_it_arrives(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    try:
        response = await http.post(CHAT, content=endless())
        assert response.status_code == 413
    except (httpx.WriteError, httpx.ReadError):  # the connection was closed while it still sent
        pass


@pytest.mark.parametrize(
    ("header", "value"),
    [("x-deadline-ms", "soon"), ("x-deadline-ms", "0"), ("x-deadline-ms", "9" * 30), ("x-session-id", "a b")],
)
async def test_a_header_that_is_off_is_named(http: httpx.AsyncClient, header: str, value: str) -> None:
    response = await http.post(CHAT, json=ASK, headers={header: value})

    assert response.status_code == 400
    assert turned_down(response)["param"] == header


async def test_the_request_id_comes_back(http: httpx.AsyncClient) -> None:
    response = await http.post(CHAT, json=ASK, headers={"x-request-id": "my-id-1"})

    assert response.headers["x-request-id"] == "my-id-1"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", CHAT, 405), ("GET", "/v1/nothing", 404), ("POST", "/v1/models", 405)],
)
async def test_a_wrong_address_is_told_in_the_same_form(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await http.request(method, path)

    assert response.status_code == status
    turned_down(response)


async def test_what_nobody_foresaw_is_a_500_in_the_same_form(site: RunningSite) -> None:
    site.backend.fail_after(0, RuntimeError("a secret"))

    async with httpx.AsyncClient(base_url=site.url) as client:
        response = await client.post(CHAT, json=ASK)

    assert response.status_code == 500
    assert "secret" not in (turned_down(response)["message"] or "")

"""Requests that are meant to do harm: each is refused in words, soon, and the next one is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.apps.server.conftest import Start

QUESTION = '{"messages": [{"role": "user", "content": "问"}]'

BROKEN: dict[str, bytes] = {
    "arrays in arrays": b"[" * 900_000,
    "objects in objects": b'{"a":' * 150_000,
    "depth where something else is meant": (QUESTION + ', "tools": ' + "[" * 9000 + "]" * 9000 + "}").encode(),
    "an endless number": (QUESTION + ', "temperature": 1e999}').encode(),
    "no number": (QUESTION + ', "repetition_penalty": NaN}').encode(),
    "a number of 5,000 digits": (QUESTION + ', "seed": ' + "9" * 5000 + "}").encode(),
    "bytes that are no text": b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "a message of 300,000 characters": (QUESTION[:-4] + "布洛芬" * 100_000 + '"}]}').encode(),
    "more prompts than may be": json.dumps({**json.loads(QUESTION + "}"), "n": 10**9}).encode(),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_what_no_program_writes_is_refused_soon(start: Start, body: bytes) -> None:
    server = start()
    headers = {"content-type": "application/json"}
    answer = server.http.post("/v1/chat/completions", content=body, headers=headers, timeout=5)
    assert answer.status_code == 400, answer.text[:200]
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert server.ask("问").status_code == 200


@pytest.mark.parametrize("name", ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "tiny/../base"])
def test_a_models_name_is_no_path(start: Start, name: str) -> None:
    server = start()
    assert server.ask("问", model=name).json()["error"]["code"] == "model_not_found"
    assert server.http.get(f"/v1/models/{name.replace('/', '%2f')}").status_code == 404


def test_no_line_of_the_log_and_no_header_is_a_clients(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """uvicorn writes the address of each request, and errors repeat names."""
    server = start()
    forged = "%0d%0aINFO: forged%1b[2J"
    found: list[Any] = [server.http.get(f"/{forged}"), server.http.get(f"/v1/models/{forged}")]
    found.append(server.ask("问", model="x\r\nSet-Cookie: a=b\x1b[2J"))
    for answer in found:
        assert answer.status_code == 404
        assert "set-cookie" not in answer.headers
    logged = "".join(capsys.readouterr())
    assert "%0D%0A" in logged
    assert "\x1b" not in logged
    assert not any(line.startswith("INFO: forged") for line in logged.splitlines())


def test_a_body_has_its_size_wherever_it_goes(start: Start) -> None:
    """Routes that are not the API's too: what is mounted beside it (the page) has no limit of its own."""
    server = start(body=1000)
    for address in ("/health", "/ui/gradio_api/queue/join", "/anything"):
        assert server.http.post(address, content=b"x" * 2000).status_code == 413
    assert server.http.get("/health").status_code == 200

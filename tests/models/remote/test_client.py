from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from bentsao.core.errors import ConfigError
from bentsao.models.remote.client import CallError, Client, Endpoint, read_retry_after
from bentsao.models.remote.exchange import Reply, Request, Turn
from tests.models.remote.server import Act, Script, completion, good, serving

KEY = "sk-secret-0123456789abcdef"
REQUEST = Request("stub", (Turn("user", "你好"),), {"max_tokens": 9})


def call(url: str, *, timeout: float = 5.0) -> Reply:
    async def run() -> Reply:
        endpoint = Endpoint(base_url=url, key_env="BENTSAO_TEST_KEY", timeout=timeout)
        async with Client(endpoint) as client:
            return await client.send(REQUEST)

    return asyncio.run(run())


def failed(script: Script, *, timeout: float = 5.0) -> CallError:
    with serving(script) as server, pytest.raises(CallError) as caught:
        call(server.url, timeout=timeout)
    assert sum(server.came.values()) == 1  # the client itself tries nothing again
    return caught.value


def test_a_reply_and_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_TEST_KEY", f" {KEY}\n")
    with serving(lambda _, __: Act(body=completion("好"))) as server:
        found = call(server.url)
    assert (found.text, found.model, found.request) == ("好", "stub-1", REQUEST.key)
    assert server.bodies[REQUEST.key] == REQUEST.body
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "rejected"), (401, "fatal"), (403, "fatal"), (404, "fatal"), (408, "lost"), (409, "rejected"),
     (422, "rejected"), (429, "refused"), (500, "refused"), (502, "lost"), (503, "refused"), (504, "lost")],
)  # fmt: skip
def test_what_a_status_means(status: int, kind: str) -> None:
    error = failed(lambda _, __: Act(status, '{"error": {"message": "不行"}}'))
    assert (error.kind, error.status, error.reason) == (kind, status, f"HTTP {status}")
    assert "不行" in error.message


def test_no_credit_is_for_good_though_it_comes_as_429() -> None:
    assert failed(lambda _, __: Act(429, '{"error": {"code": "insufficient_quota", "message": "x"}}')).kind == "fatal"


def test_time_outs_and_broken_connections_may_be_charged() -> None:
    assert failed(lambda b, n: Act(body=completion("好"), delay=3.0), timeout=1.5).reason == "超时"
    error = failed(lambda b, n: Act(body=completion("好"), cut=True))
    assert (error.kind, error.reason) == ("lost", "连接失败")


def test_a_server_that_is_not_there_has_done_nothing() -> None:
    with serving(good) as server:
        url = server.url
    with pytest.raises(CallError) as caught:
        call(url)
    assert (caught.value.kind, caught.value.reason) == ("refused", "连接失败")


def test_the_key_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_TEST_KEY", KEY)
    echo = f'{{"error": {{"message": "Incorrect API key provided: {KEY}, Bearer {KEY}, sk-se***def, {"x" * 900}"}}}}'
    error = failed(lambda _, __: Act(401, echo))
    assert KEY not in str(error) + repr(error) + error.message
    assert "sk-se" not in error.message
    assert len(error.message) < 400
    assert error.__cause__ is None


@pytest.mark.parametrize("key", ["鉴权口令", "a b", "a\tb"])
def test_a_key_that_cannot_be_sent_is_told_without_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_TEST_KEY", key)
    with pytest.raises(ConfigError, match="BENTSAO_TEST_KEY") as caught:
        call("http://127.0.0.1:1/v1")
    assert key not in str(caught.value)


def test_a_missing_key_is_told_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "BENTSAO_TEST_KEY" in failed(lambda _, __: Act(401, "{}")).message
    monkeypatch.setenv("BENTSAO_TEST_KEY", KEY)
    assert "BENTSAO_TEST_KEY" not in failed(lambda _, __: Act(401, "{}")).message


def test_an_address_must_be_one() -> None:
    for url in ("localhost:8000", "", "ftp://x/v1"):
        with pytest.raises(ConfigError, match="--api-base"):
            call(url)


def test_retry_after_in_every_form() -> None:
    assert read_retry_after({"retry-after": "7"}) == 7
    assert read_retry_after({"retry-after": "0.5"}) == 0.5
    assert read_retry_after({"retry-after-ms": "250", "retry-after": "7"}) == 0.25
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=30), usegmt=True)
    assert read_retry_after({"retry-after": date}) == pytest.approx(30, abs=2)
    for nothing in ("", "soon", "nan", "inf", "-"):
        assert read_retry_after({"retry-after": nothing}) is None
    assert read_retry_after({"retry-after": "-3"}) == 0

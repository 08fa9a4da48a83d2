from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentsao.apps import cli
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.apps.server.running import Server
from bentsao.apps.server.serving import Service
from bentsao.core.errors import BentsaoError
from bentsao.inference.grounded import Policy
from bentsao.inference.grounded.bundle import make_bundle
from tests.apps.server.conftest import wait_until
from tests.apps.server.scribe import Scribe
from tests.inference.bases import tiny_folder
from tests.inference.grounded.adapters import adapter_folder
from tests.inference.grounded.bases import grounded_base


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[ModelChoice]:
    """Which models were opened; Scribes in their place."""
    found: list[ModelChoice] = []

    def open_it(choice: ModelChoice) -> Scribe:
        found.append(choice)
        return Scribe("好。")

    monkeypatch.setattr(ModelChoice, "open", open_it)
    return found


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The service that the command would run, and how."""
    found: dict[str, Any] = {}

    def begin(self: Server, app: Any, service: Service, *, host: str, port: int) -> None:
        found.update(app=app, service=service, host=host, port=port)

    monkeypatch.setattr(Server, "__init__", begin)
    monkeypatch.setattr(Server, "run", lambda self: found.update(names=found["service"].names()))
    return found


def run(*arguments: object) -> None:
    cli.build()(list(map(str, arguments)), result_action="return_value")


def test_a_port_in_use_is_found_before_models_are_opened(opened: list[ModelChoice], served: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BentsaoError, match=f"127.0.0.1:{port}：已被占用.*--port"):
            run("serve", "--no-kb", "--port", port)
    assert not opened
    assert not served


def test_adapters_by_name_and_their_base(tmp_path: Path, opened: list[ModelChoice], served: dict[str, Any]) -> None:
    one, two = adapter_folder(tmp_path / "one"), adapter_folder(tmp_path / "two")
    kb = grounded_base(tmp_path / "small.kb")
    run("serve", "--adapter", one, "--adapter", f"另一个={two}", "--kb", kb)
    assert served["names"] == ["one", "one-grounded", "另一个", "另一个-grounded", "some/base"]
    assert (served["host"], served["port"]) == ("127.0.0.1", 8000)
    assert [choice.adapter for choice in opened] == [one, two], "the base is opened when it is asked"


def test_a_base_alone(opened: list[ModelChoice], served: dict[str, Any]) -> None:
    run("serve", "--base", "embedded", "--no-kb", "--port", 9)
    assert served["names"] == ["embedded"]
    assert [(choice.adapter, choice.base) for choice in opened] == [(None, "embedded")]


def test_a_bundle(tmp_path: Path, opened: list[ModelChoice], served: dict[str, Any]) -> None:
    kb = grounded_base(tmp_path / "small.kb")
    bundle = make_bundle(adapter_folder(tmp_path / "one"), kb, Policy(path="linker"), tmp_path / "包一")
    run("serve", "--bundle", bundle.folder)
    assert served["names"] == ["包一", "包一-grounded"]
    with pytest.raises(BentsaoError, match="--bundle 里已有"):
        run("serve", "--bundle", bundle.folder, "--base", "embedded")


def test_safety_is_on(opened: list[ModelChoice], served: dict[str, Any]) -> None:
    from bentsao.core.records import Message

    run("serve", "--base", "embedded", "--no-kb")
    service: Service = served["service"]
    alert = service.safety([Message(role="user", content="我突然胸口剧痛，喘不上气")])
    assert alert is not None
    assert "120" in alert.before
    assert service.safety([Message(role="user", content="感冒吃什么")]) is None


WRONG: list[tuple[list[str], str]] = [
    (["--adapter", "a/x", "--adapter", "b/x", "--no-kb"], "两个适配器都叫 x"),
    (["--base", "embedded", "--no-kb", "--api-key-env", "NO_SUCH_KEYS"], "环境变量 NO_SUCH_KEYS 里没有"),
    (["--base", "embedded", "--no-kb", "--max-queue", "0"], "--max-queue 0"),
    (["--base", "embedded", "--path", "oracle"], "oracle"),
]


@pytest.mark.parametrize(("flags", "words"), WRONG)
def test_what_cannot_be(opened: list[ModelChoice], served: dict[str, Any], flags: list[str], words: str) -> None:
    with pytest.raises(BentsaoError, match=words):
        run("serve", *flags)


def test_keys_come_from_the_environment_or_a_file_and_are_not_shown(
    tmp_path: Path,
    opened: list[ModelChoice],
    served: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fastapi.testclient import TestClient

    monkeypatch.setenv("MY_KEYS", "geheim-1, geheim-2")
    (tmp_path / "keys").write_text("geheim-3\n", encoding="utf-8")
    base = ["--base", "embedded", "--no-kb"]
    run("serve", *base, "--api-key-env", "MY_KEYS", "--api-key-file", tmp_path / "keys", "--host", "0.0.0.0")
    client = TestClient(served["app"])
    for key, status in [("geheim-1", 200), ("geheim-2", 200), ("geheim-3", 200), ("geheim", 401)]:
        assert client.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == status
    run("serve", *base, "--host", "0.0.0.0")
    said = capsys.readouterr()
    assert "geheim" not in said.out + said.err
    assert said.err.count("没有要求 API 密钥") == 1


@pytest.mark.slow
def test_a_process_answers_ends_by_sigterm_and_starts_again(tmp_path: Path) -> None:
    base = tiny_folder(tmp_path / "tiny")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bentsao.apps.cli", "serve", "--base", str(base), "--no-kb", "--port", str(port)]
    ask = {"messages": [{"role": "user", "content": "感冒"}], "max_tokens": 200, "stream": True}
    for end in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen([*command, "--format", "plain"], env={**os.environ, "OMP_NUM_THREADS": "1"})
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http:
            wait_until(lambda http=http, process=process: is_up(http) or process.poll() is not None, 120)
            assert process.poll() is None, "it did not come up"
            with http.stream("POST", "/v1/chat/completions", json=ask) as response:
                texts = response.iter_text()
                next(texts)
                process.send_signal(end)
                if end == signal.SIGTERM:
                    assert "".join(texts).endswith("data: [DONE]\n\n")
        assert process.wait(30) == -end, "uvicorn ends what is open, and then by the signal itself"


def is_up(http: httpx.Client) -> bool:
    try:
        return http.get("/health").status_code == 200
    except httpx.ConnectError:
        return False

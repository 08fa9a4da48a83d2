"""Adapters that come and go while the server runs."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bentsao.apps.server.app import create_app
from bentsao.apps.server.metrics import Metrics
from bentsao.apps.server.serving import Limits, Served, Service
from bentsao.apps.server.shelf import Shelf
from bentsao.core.errors import ModelError
from bentsao.inference.engine import Engine
from tests.apps.server.conftest import wait_until
from tests.apps.server.scribe import Scribe
from tests.inference.grounded.adapters import adapter_folder

KEY = {"Authorization": "Bearer k"}


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service([], Limits())
    yield made
    made.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Whose adapters say the words in their README.md."""

    def make(name: str, folder: Path) -> Served:
        def opens() -> Engine:
            if "坏" in name:
                raise ModelError("打不开它")
            return Scribe((folder / "README.md").read_text(encoding="utf-8"))

        return Served(name, "adapter", opens, None, Limits())

    return Shelf(tmp_path, make)


def put(folder: Path, words: str) -> None:
    if not folder.is_dir():
        adapter_folder(folder)
    (folder / "README.md").write_text(words, encoding="utf-8")


def test_what_is_put_there_answers_and_what_is_taken_does_not(tmp_path: Path, service: Service, shelf: Shelf) -> None:
    client = TestClient(create_app(service, Metrics(), keys=("k",), shelf=shelf), headers=KEY)

    def say(model: str) -> str:
        asked = {"model": model, "messages": [{"role": "user", "content": "感冒"}]}
        answer = client.post("/v1/chat/completions", json=asked)
        return answer.json()["choices"][0]["message"]["content"] if answer.is_success else str(answer.status_code)

    def reload() -> dict[str, object]:
        return {key: value for key, value in client.post("/v1/adapters/reload").json().items() if value}

    assert reload() == {}
    assert say("甲") == "404"
    put(tmp_path / "甲", "甲说")
    put(tmp_path / "坏的", "")
    (tmp_path / "不是适配器").mkdir()
    assert reload() == {"added": ["甲"], "failed": {"坏的": "打不开它"}}
    assert say("甲").startswith("甲说")
    assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["甲"]
    assert "甲" in client.get("/metrics").text

    put(tmp_path / "甲", "甲改口说")
    put(tmp_path / "乙", "乙说")
    assert reload()["changed"] == ["甲"]
    assert say("甲").startswith("甲改口说")
    assert say("乙").startswith("乙说")

    shutil.rmtree(tmp_path / "甲")
    assert reload()["removed"] == ["甲"]
    assert say("甲") == "404"
    shutil.rmtree(tmp_path / "坏的")
    assert reload() == {}, "what has not changed stays as it is"


def test_only_with_the_key_and_only_where_there_is_a_folder(tmp_path: Path, service: Service, shelf: Shelf) -> None:
    app = create_app(service, Metrics(), keys=("k",), shelf=shelf)
    assert TestClient(app).post("/v1/adapters/reload").status_code == 401
    assert TestClient(create_app(service, Metrics())).post("/v1/adapters/reload").status_code == 404
    tmp_path.rmdir()
    assert TestClient(app, headers=KEY).post("/v1/adapters/reload").status_code == 503


def test_a_name_that_is_taken(tmp_path: Path, service: Service, shelf: Shelf) -> None:
    fixed = Served("甲", "adapter", lambda: Scribe("原来的"), None, Limits())
    service.put(fixed)
    put(tmp_path / "甲", "新来的")
    assert "同名" in shelf.reload(service).failed["甲"]
    assert service.served["甲"] is fixed


def test_a_model_that_goes_ends_its_work_first(tmp_path: Path, service: Service, shelf: Shelf) -> None:
    put(tmp_path / "甲", "甲说")
    shelf.reload(service)
    batcher = service.served["甲"].batcher
    shutil.rmtree(tmp_path / "甲")
    shelf.reload(service)
    wait_until(lambda: not batcher._thread.is_alive())  # pyright: ignore[reportPrivateUsage]
    assert service.names() == []


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this system")
def test_sighup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bentsao.apps import cli
    from bentsao.apps.commands.model_flags import ModelChoice
    from bentsao.apps.server.running import Server

    monkeypatch.setattr(ModelChoice, "open", lambda _: Scribe("好。"))
    adapter_folder(tmp_path / "a" / "one")
    found: list[list[str]] = []

    def run(self: Server) -> None:
        service = self._service  # pyright: ignore[reportPrivateUsage]
        found.append(service.names())
        adapter_folder(tmp_path / "a" / "two")
        signal.raise_signal(signal.SIGHUP)
        wait_until(lambda: "two" in service.names())

    before = signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(Server, "run", run)
    try:
        cli.build()(["serve", "--adapter-folder", str(tmp_path / "a"), "--no-kb"], result_action="return_value")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert found == [["one"]]

"""A server on a free port, in a thread of the test's process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from openai import OpenAI

from bentsao.apps.server.app import create_app
from bentsao.apps.server.metrics import Metrics
from bentsao.apps.server.running import Server
from bentsao.apps.server.serving import Ground, Limits, Safety, Served, Service
from bentsao.inference.engine import Engine
from tests.apps.server.scribe import Scribe

ANSWER = "感冒多由病毒引起，注意休息，多喝水。"


@dataclass
class Running:
    """A server that is up, and what is behind it."""

    url: str
    service: Service
    server: Server
    http: httpx.Client
    openai: OpenAI

    def ask(self, *said: str, **fields: Any) -> httpx.Response:
        """POST a chat; what is said are the turns, the user's first."""
        roles = ("user", "assistant")
        messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(said)]
        return self.http.post("/v1/chat/completions", json={"messages": messages, **fields})


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers: `start(engine, ground=…, keys=…, safety=…, waiting=…)`; further names are those of Limits."""
    with ExitStack() as stack:

        def begin(
            engine: Engine | None = None,
            *,
            ground: Ground | None = None,
            safety: Safety = lambda _: None,
            keys: tuple[str, ...] = (),
            **limits: Any,
        ) -> Running:
            return stack.enter_context(running(engine or Scribe(ANSWER), ground, safety, keys, Limits(**limits)))

        yield begin


@contextmanager
def running(
    engine: Engine, ground: Ground | None, safety: Safety, keys: tuple[str, ...], limits: Limits
) -> Generator[Running]:
    metrics = Metrics()
    model = Served("tiny", "adapter", lambda: engine, ground, limits, seen=metrics.batch)
    other = Served("base", "base", lambda: Scribe("基座的话"), None, limits, seen=metrics.batch)
    service = Service([model, other], limits, safety)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(create_app(service, metrics, keys=keys), service, host="127.0.0.1", port=port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{port}"
    with (
        httpx.Client(base_url=url, timeout=20, trust_env=False) as http,
        OpenAI(base_url=f"{url}/v1", api_key="sk-none", max_retries=0) as openai,
    ):
        yield Running(url, service, server, http, openai)
    service.call_off()
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def wait_until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Raises AssertionError when it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)

"""A scripted OpenAI-style server in this process: it answers as it is told, and counts what it was paid for."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bentsao.core.files import sha256_text


@dataclass(frozen=True)
class Act:
    """What the server does with one request: waits, then sends `body` with `status`; `cut`: only half of it."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    cut: bool = False


Script = Callable[[dict[str, Any], int], Act]
"""The request's body, and how often the same came before → what to do."""


def completion(text: str | None, *, finish: str = "stop", usage: object = "counted") -> str:
    """The body of a chat completion. usage: "counted" is a true one, None leaves it out."""
    counted = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    value: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "stub-1",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
    }
    if usage is not None:
        value["usage"] = counted if usage == "counted" else usage
    return json.dumps(value, ensure_ascii=False)


def good_text(body: dict[str, Any]) -> str:
    """What an honest teacher writes: pairs from the facts in the prompt, or a dialogue from its paper."""
    prompt = "\n".join(message["content"] for message in body["messages"] if message["role"] != "assistant")
    if conclusion := re.search(r"^结论：(.*)$", prompt, re.MULTILINE):
        title = re.search(r"^题目：(.*)$", prompt, re.MULTILINE)
        sentences = [part + "。" for part in conclusion[1].split("。") if part.strip()]
        turns = [
            {
                "question": f"{title[1] if title else ''}，第{number}点是什么？",
                "answer": [
                    {"text": sentence, "origin": "paper"},
                    {"text": "具体情况请咨询医生。", "origin": "general"},
                ],
            }
            for number, sentence in enumerate(sentences[:6], start=1)
        ]
        return json.dumps({"turns": turns}, ensure_ascii=False)
    data = re.search(r"<资料-(\w+)>\n(.*)\n</资料-\1>", prompt, re.DOTALL)
    facts = re.findall(r"^(\d+)\. ([^：\n]+)：(.*)$", data[2] if data else "", re.MULTILINE)
    pairs = [
        {"question": f"请问{what}有哪些？", "answer": f"{what}：{values.replace('；', '、')}。", "facts": [int(number)]}
        for number, what, values in facts[:4]
    ]
    return json.dumps({"pairs": pairs}, ensure_ascii=False)


def good(body: dict[str, Any], _: int) -> Act:
    return Act(body=completion(good_text(body)))


class StubServer:
    """Use `serving(script)`. `came` counts requests by hash, `paid` those of them answered with status 200."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.came: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.order: list[str] = []
        self.bodies: dict[str, dict[str, Any]] = {}
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.lock = threading.Lock()
        self.most_at_once = self.at_once = 0
        self.url = ""

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[str, Act]:
        key = sha256_text(json.dumps(body, ensure_ascii=False, sort_keys=True))
        with self.lock:
            before = self.came[key]
            self.came[key] += 1
            self.order.append(key)
            self.bodies[key] = body
            self.headers.append(headers)
            self.times.append(time.monotonic())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        return key, self.script(body, before)

    def done(self, key: str, act: Act) -> None:
        with self.lock:
            self.at_once -= 1
            self.paid[key] += act.status == 200


@contextmanager
def serving(script: Script = good) -> Generator[StubServer]:
    """A server on a port of its own while the block lasts."""
    stub = StubServer(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key, act = stub.take(body, {name.lower(): value for name, value in self.headers.items()})
            time.sleep(act.delay)
            data = act.body.encode()
            stub.done(key, act)  # as a provider does: it counts when it has done the work
            self.send_response(act.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in act.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if act.cut else data)
            if act.cut:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # clients that are killed or give up are what is tested

    server = Server(("127.0.0.1", 0), Handler)
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

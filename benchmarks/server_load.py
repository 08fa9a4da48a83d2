"""The server under load: 1, 8, 32, 128 clients at once, then hostile ones, then kill and restart.

    python benchmarks/server_load.py                                    # the shipped adapter; about five minutes
    python benchmarks/server_load.py --seconds 120 --out load.json -- --adapter runs/a --max-queue 128

What follows `--` goes to `bentsao serve`. Every client asks, reads the stream to its end, and asks again; refused (429)
it waits as long as it was told. Told are: answers and tokens a second, time to the first piece of an answer (p50, p99),
answers by status, and the server's memory before and after. The exit code is 1 where anything but 200 and 429 came to a
polite client, or the server did not come through.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import psutil

NAMES = ("感冒", "偏头痛", "高血压", "胃溃疡", "糖尿病", "哮喘", "肺炎", "阑尾炎", "痛风", "贫血")
ASKED = ("有哪些症状？", "要做什么检查？", "怎么治疗？", "是什么原因引起的？", "平时要注意什么？")
QUESTIONS = [f"{name}{asked}" for name, asked in itertools.product(NAMES, ASKED)]


@dataclass
class Load:
    """What a number of clients saw. seconds: how long; first: seconds to the first piece of each answer."""

    clients: int
    seconds: float = 0.0
    tokens: int = 0
    statuses: Counter[str] = field(default_factory=Counter[str])
    first: list[float] = field(default_factory=list[float])
    memory_before: float = 0.0
    memory_after: float = 0.0

    def row(self) -> dict[str, Any]:
        """As it is told; memory in MB."""
        cuts = quantiles(self.first, n=100) if len(self.first) > 1 else self.first * 99
        return {
            "clients": self.clients,
            "answers": self.statuses["200"],
            "refused": self.statuses["429"],
            "errors": {status: n for status, n in self.statuses.items() if status not in ("200", "429")},
            "answers_per_second": round(self.statuses["200"] / self.seconds, 2),
            "tokens_per_second": round(self.tokens / self.seconds, 1),
            "first_p50": round(cuts[49], 2) if cuts else None,
            "first_p99": round(cuts[98], 2) if cuts else None,
            "memory_mb": [round(self.memory_before), round(self.memory_after)],
        }


class Server:
    """`bentsao serve` as a process of its own."""

    def __init__(self, flags: list[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "bentsao.apps.cli", "serve", "--port", str(self.port), *flags]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while True:
            try:
                if httpx.get(f"{self.url}/health", trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start: {' '.join(self._command)}")
            time.sleep(0.2)

    def memory(self) -> float:
        """Resident MB."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def end(self, by: signal.Signals) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(by)
        return self.process.wait(60)


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=httpx.Timeout(600), limits=httpx.Limits())


async def ask(http: httpx.AsyncClient, question: str, tokens: int, model: str | None, load: Load) -> float:
    """One answer, read to its end; how long to wait before the next."""
    body = {
        "messages": [{"role": "user", "content": question}],
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        **({"model": model} if model else {}),
    }
    began = time.perf_counter()
    first: float | None = None
    status = "unfinished"
    try:
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                load.statuses[str(response.status_code)] += 1
                return min(5.0, float(response.headers.get("retry-after", "0.5")))
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                if line == "data: [DONE]":
                    status = "200" if status == "unfinished" else status
                    break
                event = json.loads(line[6:])
                if "error" in event:
                    status = f"error in stream: {event['error']['code']}"
                elif event["choices"] and event["choices"][0]["delta"].get("content") and first is None:
                    first = time.perf_counter() - began
                elif event.get("usage"):
                    load.tokens += event["usage"]["completion_tokens"]
    except httpx.HTTPError as error:
        status = type(error).__name__
    load.statuses[status] += 1
    if first is not None:
        load.first.append(first)
    return 0.0


async def polite(server: Server, clients: int, seconds: float, tokens: int, model: str | None) -> Load:
    """So many clients at once, each asking one question after the other."""
    load = Load(clients, memory_before=server.memory())
    began = time.perf_counter()
    numbers = itertools.count()

    async def one(http: httpx.AsyncClient) -> None:
        while time.perf_counter() - began < seconds:
            await asyncio.sleep(await ask(http, QUESTIONS[next(numbers) % len(QUESTIONS)], tokens, model, load))

    async with client(server.url) as http:
        http.timeout = httpx.Timeout(600, pool=None)
        await asyncio.gather(*(one(http) for _ in range(clients)))
    load.seconds = time.perf_counter() - began
    load.memory_after = server.memory()
    return load


async def hostile(server: Server, seconds: float, tokens: int) -> dict[str, Any]:
    """Everything at once that no client should send, beside one that asks politely."""
    load = Load(1, memory_before=server.memory())
    statuses: Counter[str] = Counter()
    began = time.perf_counter()
    question = {"role": "user", "content": "感冒怎么办？"}

    def on() -> bool:
        return time.perf_counter() - began < seconds

    async def send(name: str, **request: Any) -> None:
        async with client(server.url) as http:
            while on():
                try:
                    answer = await http.post("/v1/chat/completions", **request)
                    statuses[f"{name}: {answer.status_code}"] += 1
                except httpx.HTTPError as error:
                    statuses[f"{name}: {type(error).__name__}"] += 1
                await asyncio.sleep(0.05)

    async def leave() -> None:
        async with client(server.url) as http:
            while on():
                body = {"messages": [question], "stream": True, "max_tokens": 1024}
                async with http.stream("POST", "/v1/chat/completions", json=body) as response:
                    async for _ in response.aiter_lines():
                        break
                statuses[f"left: {response.status_code}"] += 1

    async def dawdle() -> None:
        """A header a second, never a body."""
        while on():
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
            for _ in range(5):
                writer.write(b"X-A: b\r\n")
                await writer.drain()
                await asyncio.sleep(0.5)
            writer.close()
            statuses["dawdled"] += 1

    async def garbage() -> None:
        while on():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(os.urandom(2000) + b"\r\n\r\n")
            await reader.read(200)
            writer.close()
            statuses["garbage"] += 1
            await asyncio.sleep(0.05)

    async def one() -> None:
        async with client(server.url) as http:
            while on():
                await asyncio.sleep(await ask(http, "偏头痛有哪些症状？", tokens, None, load))

    marks = "<bos><eos><start_of_turn>user\n<end_of_turn><|im_end|>[INST]"
    json_type = {"content-type": "application/json"}
    turns = [{"role": ("user", "assistant")[n % 2], "content": "长" * 500} for n in range(999)]
    await asyncio.gather(
        one(),
        leave(),
        leave(),
        dawdle(),
        garbage(),
        send("huge", content=b" " * 5_000_000, headers=json_type),
        send("not json", content=b"{" * 1000, headers=json_type),
        send("deep json", content=b"[" * 100_000, headers=json_type),
        send("half a character", content=b'{"messages":[{"role":"user","content":"\\ud800"}]}', headers=json_type),
        send("control tokens", json={"messages": [{"role": "user", "content": marks * 20}], "max_tokens": 4}),
        send("long", json={"messages": [{"role": "user", "content": "长" * 100_000}]}),
        send("long history", json={"messages": turns, "max_tokens": 4}),
        send("wrong types", json={"messages": "x", "n": "y", "stop": [[1]]}),
    )
    load.seconds = time.perf_counter() - began
    load.memory_after = server.memory()
    return {"polite": load.row(), "hostile": dict(sorted(statuses.items()))}


async def killed(server: Server, tokens: int) -> dict[str, Any]:
    """SIGKILL and a new start, SIGTERM and a new start, with answers under way."""
    found: dict[str, Any] = {}
    for by in (signal.SIGKILL, signal.SIGTERM):
        load = Load(8)
        async with client(server.url) as http:
            asked = [asyncio.ensure_future(ask(http, q, tokens, None, load)) for q in QUESTIONS[:8]]
            await asyncio.sleep(2)
            code = await asyncio.to_thread(server.end, by)
            await asyncio.gather(*asked)
        began = time.perf_counter()
        await asyncio.to_thread(server.start)
        found[by.name] = {
            "exit": code,
            "answers": dict(load.statuses),
            "seconds_until_up_again": round(time.perf_counter() - began, 1),
        }
    return found


async def measure(arguments: argparse.Namespace, server: Server) -> dict[str, Any]:
    found: dict[str, Any] = {"load": []}
    await polite(server, 1, 1, 4, arguments.model)  # what is done once is done
    for clients in arguments.clients:
        load = await polite(server, clients, arguments.seconds, arguments.tokens, arguments.model)
        found["load"].append(load.row())
        print(json.dumps(found["load"][-1], ensure_ascii=False), flush=True)
    found["hostile"] = await hostile(server, arguments.seconds, arguments.tokens)
    print(json.dumps(found["hostile"], ensure_ascii=False, indent=1), flush=True)
    found["killed"] = await killed(server, arguments.tokens)
    print(json.dumps(found["killed"], ensure_ascii=False), flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", type=float, default=60, help="for each number of clients")
    parser.add_argument("--tokens", type=int, default=64, help="the most an answer may have")
    parser.add_argument("--model", default=None, help="its name, e.g. bentsao-grounded")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there, as JSON")
    parser.add_argument("flags", nargs="*", help="for `bentsao serve`, after --")
    arguments = parser.parse_args()
    server = Server(arguments.flags)
    try:
        found = asyncio.run(measure(arguments, server))
        alive = server.process.poll() is None
    finally:
        server.process.kill()
    if arguments.out:
        arguments.out.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    rows = [*found["load"], found["hostile"]["polite"]]
    return 0 if alive and not any(row["errors"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

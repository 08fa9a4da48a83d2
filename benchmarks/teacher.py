"""How near the teacher's calls come to what the server allows: calls a second at a stub with a fixed latency.

    python benchmarks/teacher.py                                  # 64 and 256 calls at once, 200 ms each
    python benchmarks/teacher.py --concurrency 16 --latency 1.0
    python benchmarks/teacher.py --model embedded --entities 3    # a real model behind a real HTTP server, on the CPU

The stub runs in a process of its own and does next to nothing. The ideal is concurrency / latency. Everything that a
real run does is done: prompts from the sample knowledge base, hashes, journal, budget, reading of the replies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bentsao.construction.teacher.jobs import WritingJob
from bentsao.construction.teacher.qa import QAPlan, qa_jobs
from bentsao.construction.teacher.writing import Doing, write
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.client import Endpoint

PAIR = {
    "question": "请问这种病有哪些症状，应该看哪个科室？",
    "answer": "常见的症状有头痛、恶心、呕吐。" * 4,
    "facts": [1],
}
TEXT = json.dumps({"pairs": [PAIR] * 5}, ensure_ascii=False)


def completion(text: str, given: int, made: int, finish: str = "stop") -> bytes:
    value = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made},
    }
    return json.dumps(value, ensure_ascii=False).encode()


class Stub(asyncio.Protocol):
    """The least that an HTTP server can be: the same answer to every request, `latency` seconds after it came."""

    latency = 0.2
    body = completion(TEXT, 700, 400)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request after the latency."""
        self.received += data
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(rest) >= length:
            self.received = rest[length:]
            asyncio.get_running_loop().call_later(self.latency, self.reply)

    def reply(self) -> None:
        """Send the answer."""
        if not self.transport.is_closing():
            self.transport.write(self.answer)


def serve_stub(port: int, latency: float) -> None:
    async def run() -> None:
        Stub.latency = latency
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    asyncio.run(run())


def many_jobs(asking: Asking, count: int) -> list[WritingJob[Any]]:
    """So many jobs of the sample knowledge base, in several rounds."""
    with KnowledgeBase.open(sample_kb()) as kb:
        jobs: list[WritingJob[Any]] = []
        seed = 0
        while len(jobs) < count:
            # Another seed is another style, so mostly another request.
            known = {job.request.key for job in jobs}
            more = qa_jobs(kb, asking, QAPlan(rounds=3, seed=seed), "drop")
            jobs += [job for job in more if job.request.key not in known]
            seed += 1
    return jobs[:count]


def measure(port: int, latency: float, concurrency: int, seconds: float) -> None:
    asking = Asking(endpoint=Endpoint(base_url=f"http://127.0.0.1:{port}/v1"), model="stub", concurrency=concurrency)
    jobs = many_jobs(asking, int(min(6000, seconds * concurrency / latency)))
    times: list[float] = []
    spent: list[float] = []

    def tell(*_: object) -> None:
        times.append(time.perf_counter())
        spent.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        doing = Doing(progress=tell)
        write("qa", jobs[:1], asking, Path(folder) / "warm", doing)  # loads what is loaded once
        times.clear()
        spent.clear()
        summary = write("qa", jobs, asking, Path(folder) / "journal", doing).summary
    took = times[-1] - times[0]  # the calls alone; the rows are made afterwards
    cpu = spent[-1] - spent[0]
    ideal = concurrency / latency
    print(
        f"并发 {concurrency}：{summary.replies} 次调用，{took:.1f} 秒，{summary.replies / took:.0f} 次/秒，"
        f"理想 {ideal:.0f} 次/秒的 {summary.replies / took / ideal:.1%}；"
        f"CPU {cpu / took:.0%}，每次 {1000 * cpu / summary.replies:.2f} 毫秒，"
        f"重试 {sum(summary.refused.values()) + sum(summary.lost.values())}",
        flush=True,
    )


def benchmark(concurrencies: list[int], latency: float, seconds: float) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = multiprocessing.get_context("spawn").Process(target=serve_stub, args=(port, latency), daemon=True)
    server.start()
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            break
        except OSError:
            time.sleep(0.05)
    for concurrency in concurrencies:
        measure(port, latency, concurrency, seconds)
    server.terminate()


# --- a real model ----------------------------------------------------------------------------------------------------


def real_server(name: str) -> ThreadingHTTPServer:
    """A base model behind HTTP, one question at a time. Chat completions only; made for this benchmark."""
    from bentsao.core.errors import BentsaoError
    from bentsao.core.records import Message
    from bentsao.inference.decoding import Decoding
    from bentsao.inference.engine import fitted_prompt
    from bentsao.inference.engines.opening import open_engine

    engine = open_engine(adapter=None, base=name, chat_format=None, report=print)
    one = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            messages = [Message(role=turn["role"], content=turn["content"]) for turn in body["messages"]]
            decoding = Decoding(max_new_tokens=body["max_tokens"], repetition_penalty=1.1)
            status = 200
            try:
                with one:
                    prompt, _ = fitted_prompt(engine, messages, decoding)
                    (found,) = engine.generate([prompt], decoding)
                finish = "stop" if found.finish == "end" else "length"
                data = completion(found.text, len(prompt), len(found.ids), finish)
            except BentsaoError as error:
                status, data = 400, json.dumps({"error": {"message": str(error)}}, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def real(name: str, entities: int, tokens: int) -> None:
    server = real_server(name)
    asking = Asking(
        endpoint=Endpoint(base_url=f"http://127.0.0.1:{server.server_address[1]}/v1", timeout=600),
        model=name,
        concurrency=2,
        output_limit=tokens,
        temperature=None,
    )
    with KnowledgeBase.open(sample_kb()) as kb, tempfile.TemporaryDirectory() as folder:
        jobs = qa_jobs(kb, asking, QAPlan(entities=entities, pairs=1, facts=3), "drop")[: 2 * entities]
        written = write("qa", jobs, asking, Path(folder) / "journal", Doing())
        again = write("qa", jobs, asking, Path(folder) / "journal", Doing())
    print(json.dumps(written.summary.model_dump(), ensure_ascii=False, indent=2))
    for failure in written.failures:
        print(failure.job, failure.reason, failure.detail, *failure.replies, sep="\n  ")
    for row in written.rows:
        print(*(message.content for message in row.messages), sep="\n  ")
    print(f"再运行一次：{again.summary.calls} 次调用，结果相同：{again.rows == written.rows}")
    server.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--latency", type=float, default=0.2, help="seconds the stub takes for each call")
    parser.add_argument("--seconds", type=float, default=10.0, help="about how long each measurement takes ideally")
    parser.add_argument("--model", help="ask this base instead of the stub")
    parser.add_argument("--entities", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=96, help="of a reply of the real model")
    options = parser.parse_args()
    if options.model:
        real(options.model, options.entities, options.tokens)
    else:
        benchmark(options.concurrency, options.latency, options.seconds)

"""The batch interface, against a server that keeps files and batches as OpenAI's does."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bentsao.construction.teacher.qa import QAPlan
from bentsao.construction.teacher.writing import Doing
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.remote.exchange import RemoteError
from bentsao.models.remote.journal import Journal
from tests.construction.teacher.conftest import Settings
from tests.construction.teacher.writers import write_qa
from tests.models.remote.server import completion, good_text, serving

PLAN = QAPlan(entities=12)
BATCH = Doing(batch=True, poll=0.01)


class BatchServer:
    """`answer`: the result of one request. `looks`: how often a batch is in progress before it has ended."""

    def __init__(self, answer: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        self.answer = answer
        self.looks = 2
        self.status = "completed"
        self.lose_next_create = False
        self.files: dict[str, str] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.paid: Counter[str] = Counter()
        self.url = ""

    def upload(self, data: str) -> dict[str, Any]:
        name = f"file-{len(self.files)}"
        self.files[name] = data
        return {"id": name, "object": "file", "bytes": len(data), "created_at": 1, "filename": "x", "purpose": "batch",
                "status": "processed"}  # fmt: skip

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"batch_{len(self.batches)}"
        self.batches[name] = {
            "id": name, "object": "batch", "endpoint": body["endpoint"], "input_file_id": body["input_file_id"],
            "completion_window": "24h", "created_at": 1, "status": "in_progress", "metadata": body["metadata"],
            "looks": self.looks,
        }  # fmt: skip
        return self.batches[name]

    def look(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        batch["looks"] -= 1
        if batch["looks"] < 0 and batch["status"] == "in_progress":
            results: list[str] = []
            for line in self.files[batch["input_file_id"]].splitlines():
                entry = json.loads(line)
                found = self.answer(entry["body"])
                if found:
                    self.paid[entry["custom_id"]] += found["status_code"] == 200
                    results.append(
                        json.dumps({"id": "r", "custom_id": entry["custom_id"], "response": found, "error": None})
                    )
            results.insert(1, "{half a line")
            batch["output_file_id"] = self.upload("\n".join(results) + "\n")["id"]
            batch["status"] = self.status
        return batch


def answered(body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": 200, "request_id": "x", "body": json.loads(completion(good_text(body)))}


@contextmanager
def batching(answer: Callable[[dict[str, Any]], dict[str, Any] | None] = answered) -> Generator[BatchServer]:
    state = BatchServer(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self, value: object, status: int = 200) -> None:
            data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.path == "/v1/files":
                content = re.search(r"filename=[^\r]*\r\n(?:[^\r]+\r\n)*\r\n(.*?)\r\n--", data, re.DOTALL)
                assert content
                self.reply(state.upload(content[1]))
            elif self.path == "/v1/batches":
                batch = state.create(json.loads(data))
                if state.lose_next_create:
                    state.lose_next_create = False
                    self.reply("{}", 504)
                else:
                    self.reply(batch)
            else:
                self.reply({"error": {"message": "no such path"}}, 404)

        def do_GET(self) -> None:
            if found := re.fullmatch(r"/v1/files/(.*)/content", self.path):
                self.reply(state.files[found[1]])
            elif found := re.fullmatch(r"/v1/batches/(\w+)", self.path):
                self.reply(state.look(found[1]))
            else:
                self.reply({"object": "list", "data": list(state.batches.values()), "has_more": False})

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_batch_gives_the_rows_of_single_calls(kb: KnowledgeBase, settings: Settings, tmp_path: Path) -> None:
    with batching() as server:
        written = write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH)
        assert len(server.batches) == 1
        assert set(server.paid.values()) == {1}
    with serving() as other:
        single = write_qa(kb, settings(other.url), tmp_path / "j2", PLAN)
    untimed = [row.model_dump(exclude={"made": {"time"}}) for row in written.rows]
    assert untimed == [row.model_dump(exclude={"made": {"time"}}) for row in single.rows]
    assert written.summary.calls == written.summary.replies == written.summary.jobs


def test_bad_replies_make_a_second_batch_and_failures_are_told(
    kb: KnowledgeBase, settings: Settings, tmp_path: Path
) -> None:
    def answer(body: dict[str, Any]) -> dict[str, Any] | None:
        size = sum(map(ord, body["messages"][1]["content"])) % 5
        if size == 0:
            return {"status_code": 400, "request_id": "x", "body": {"error": {"message": "no"}}}
        if size == 1:
            return None
        if len(body["messages"]) == 2 and size == 2:
            return {"status_code": 200, "request_id": "x", "body": json.loads(completion("不是"))}
        return answered(body)

    with batching(answer) as server:
        summary = write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH).summary
        assert len(server.batches) == 2
    assert summary.asked_again > 0
    assert set(summary.failed) == {"批次里失败：HTTP 400", "批次结束（completed）而没有回答"}
    assert summary.left == 0
    assert summary.uncertain_tokens == 0


def test_a_batch_that_is_not_done_is_collected_by_the_next_run(
    kb: KnowledgeBase, settings: Settings, tmp_path: Path
) -> None:
    with batching() as server:
        server.looks = 3
        first = write_qa(
            kb, settings(server.url), tmp_path / "j", PLAN, doing=Doing(batch=True, poll=0.01, stop=lambda: True)
        )
        assert "批次还在服务器上" in first.summary.stopped
        assert first.summary.left == first.summary.jobs
        # Asked for one by one it would be paid twice.
        with pytest.raises(RemoteError, match="--batch"):
            write_qa(kb, settings(server.url), tmp_path / "j", PLAN)
        second = write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH)
        assert (second.summary.left, len(server.batches)) == (0, 1)
        assert set(server.paid.values()) == {1}


def test_a_batch_that_was_taken_while_the_answer_got_lost_is_found_again(
    kb: KnowledgeBase, settings: Settings, tmp_path: Path
) -> None:
    with batching() as server:
        server.lose_next_create = True
        with pytest.raises(RemoteError, match="没能提交批次"):
            write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH)
        written = write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH)
        assert len(server.batches) == 1
        assert set(server.paid.values()) == {1}
        assert written.summary.left == 0


def test_a_batch_that_was_never_taken_is_handed_in_again(kb: KnowledgeBase, settings: Settings, tmp_path: Path) -> None:
    with batching() as server:
        server.lose_next_create = True
        with pytest.raises(RemoteError):
            write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH)
        server.batches.clear()
        written = write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH)
        assert written.summary.left == 0
        assert written.summary.calls == written.summary.jobs


def test_replies_written_down_before_a_kill_are_not_counted_twice(
    kb: KnowledgeBase, settings: Settings, tmp_path: Path
) -> None:
    with batching() as server:
        write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH)
        lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
        (tmp_path / "j").write_bytes(b"".join(lines[:6]))  # planned, taken, four replies
        written = write_qa(kb, settings(server.url), tmp_path / "j", PLAN, doing=BATCH)
        assert written.summary.replies == written.summary.jobs
    with Journal(tmp_path / "j") as journal:
        assert journal.total.again == 0


def test_the_budget_holds_for_batches(kb: KnowledgeBase, settings: Settings, tmp_path: Path) -> None:
    with batching() as server:
        summary = write_qa(kb, settings(server.url, max_tokens=9_000), tmp_path / "j", PLAN, doing=BATCH).summary
        assert len(server.batches) > 1  # what was reserved and not used buys more
        assert summary.tokens_in + summary.tokens_out <= 9_000
        if summary.stopped:
            assert "预算到了" in summary.stopped


def test_a_server_without_batches_is_told(kb: KnowledgeBase, settings: Settings, tmp_path: Path) -> None:
    with batching() as server, pytest.raises(RemoteError, match="--batch"):
        write_qa(kb, settings(server.url.replace("/v1", "/none")), tmp_path / "j", PLAN, doing=BATCH)
    with serving() as other:  # and nothing stands in the way of doing without
        assert write_qa(kb, settings(other.url), tmp_path / "j", PLAN).summary.left == 0

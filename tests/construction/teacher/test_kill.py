"""Killed with -9 at ten moments and taken up again: no paid answer lost, none paid twice but those cut off midway."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bentsao.construction.teacher.qa import QAPlan
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.journal import Journal
from tests.construction.teacher.conftest import Settings
from tests.construction.teacher.writers import write_qa
from tests.models.remote.server import Act, StubServer, completion, good_text, serving


def run(kb: Path, asking: Asking, journal: Path, plan: QAPlan) -> None:
    """What the processes that are killed do."""
    with KnowledgeBase.open(kb) as opened:
        write_qa(opened, asking, journal, plan)


PLAN = QAPlan(entities=90)
KILLS = 10


def replies(journal: Path) -> dict[str, str]:
    """Request → text, of the whole lines in a journal, read without opening it."""
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return {event["request"]: event["text"] for event in events if event["event"] == "reply"}


def wait_until(server: StubServer, came: int, process: BaseProcess) -> None:
    """Until the server has seen so many requests."""
    started = time.monotonic()
    while sum(server.came.values()) < came and process.is_alive() and time.monotonic() - started < 60:
        time.sleep(0.001)


def test_killed_at_ten_moments(kb: KnowledgeBase, settings: Settings, tmp_path: Path) -> None:
    def script(body: dict[str, Any], before: int) -> Act:
        """A reply after up to 30 ms; every seventh request is told to wait first."""
        delay = random.Random(json.dumps(body)).random() * 0.03
        if before == 0 and random.Random(str(body)).random() < 1 / 7:
            return Act(429, "{}", delay=delay)
        return Act(body=completion(good_text(body)), delay=delay)

    journal, draw = tmp_path / "j.jsonl", random.Random(7)
    with serving(script) as server:
        asking = settings(server.url, concurrency=6)
        # Each process is forked off one that has loaded the libraries: ten of them are ready in no time.
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(["openai", __name__])
        came_before: list[int] = []
        for _ in range(KILLS):
            kept, order = replies(journal), len(server.order)
            process = processes.Process(target=run, args=(kb.path, asking, journal, PLAN))
            process.start()
            wait_until(server, sum(server.came.values()) + draw.randrange(1, 18), process)
            time.sleep(draw.random() * 0.03)
            process.kill()
            process.join()
            assert process.exitcode == -9, "it came to its end before it was killed: make PLAN larger"
            came_before.append(len(server.order))
            now = replies(journal)
            # What was in the journal stays, and was not asked for again.
            assert kept.items() <= now.items()
            assert not kept.keys() & set(server.order[order:])
        time.sleep(0.2)  # the server ends what it was at when the last kill came
        written = write_qa(kb, asking, journal, PLAN)
        paid, came = Counter(server.paid), sum(server.came.values())
        whole = write_qa(kb, asking, tmp_path / "unbroken.jsonl", PLAN)

    summary = written.summary
    assert len(set(came_before)) == KILLS
    assert (summary.left, summary.failed) == (0, {})
    # A request was paid once, and once more for each time it was cut off between sending and writing down.
    with Journal(journal) as book:
        total = book.total
    cut_off = cut_off_by_request(journal)
    assert sum(cut_off.values()) == total.cut_off == summary.cut_off
    assert 0 < total.cut_off <= 6 * KILLS
    assert set(paid) == set(replies(journal))
    assert all(1 <= times <= 1 + cut_off[key] for key, times in paid.items())
    assert sum(paid.values()) - len(paid) <= total.cut_off
    # All calls are accounted for: those that were cut off before they had left are in the journal and never came.
    assert total.calls - total.cut_off <= came <= total.calls
    # And the rows are those of a run that nobody disturbed.
    untimed = [row.model_dump(exclude={"made": {"time"}}) for row in written.rows]
    assert untimed == [row.model_dump(exclude={"made": {"time"}}) for row in whole.rows]
    print(f"{KILLS} kills: {len(paid)} requests, {sum(paid.values())} paid, {total.cut_off} cut off")


def cut_off_by_request(journal: Path) -> Counter[str]:
    """How often each request went out without any end to it in the journal."""
    events: list[dict[str, Any]] = [json.loads(line) for line in journal.read_bytes().splitlines()]
    sent = Counter(event["request"] for event in events if event["event"] == "sent")
    ended = Counter(event["request"] for event in events if event["event"] in {"reply", "refused", "lost"})
    return sent - ended

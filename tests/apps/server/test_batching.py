from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import pytest

from bentsao.apps.server.batching import Batcher, BrokenError, BusyError, CalledOffError, ClosedError, Job
from tests.apps.server.conftest import wait_until

Told = SimpleQueue[Any]


class Desk:
    """Works on what it is given when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[Job]] = []
        self.let = threading.Event()

    def work(self, jobs: Sequence[Job]) -> None:
        self.batches.append(list(jobs))
        self.let.wait(5)
        for job in jobs:
            job.tell("done")


def job(told: Callable[[Any], None] = lambda _: None, *, key: str = "a", length: int = 10, room: int = 20) -> Job:
    return Job(key, length, room, told)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def batcher(desk: Desk, **settings: Any) -> Batcher:
    usual: dict[str, Any] = {"most": 8, "rows": 4, "budget": 1000, "patience": 0.0}
    return Batcher(desk.work, **{**usual, **settings})


def held(desk: Desk, queue: Batcher) -> Job:
    """A job that keeps the desk busy until it is let."""
    first = job(key="first")
    queue.submit([first])
    wait_until(lambda: len(desk.batches) == 1)
    return first


def lengths(desk: Desk) -> list[list[int]]:
    return [[each.length for each in batch] for batch in desk.batches[1:]]


def test_what_waits_goes_together_by_kind_in_the_order_of_coming(desk: Desk) -> None:
    queue = batcher(desk)
    held(desk, queue)
    for key, length in [("a", 12), ("b", 7), ("a", 11), ("a", 13), ("a", 14), ("a", 15)]:
        queue.submit([job(key=key, length=length)])
    desk.let.set()
    queue.close()
    assert lengths(desk) == [[11, 12, 13, 14], [7], [15]], "rows at most, those of another kind in their turn"


def test_batches_are_within_the_budget_and_of_about_one_length(desk: Desk) -> None:
    queue = batcher(desk, budget=100)
    held(desk, queue)
    for length in (10, 12, 25, 40, 200):
        queue.submit([job(length=length)])
    desk.let.set()
    queue.close()
    assert lengths(desk) == [[10, 12], [25, 40] if 2 * 60 <= 100 else [25], [40], [200]]


def test_a_full_queue_says_when_to_come_again(desk: Desk) -> None:
    queue = batcher(desk, most=2)
    held(desk, queue)
    queue.submit([job(), job()])
    with pytest.raises(BusyError) as error:
        queue.submit([job()])
    assert 1 <= error.value.seconds <= 60
    assert queue.waiting == 2, "and is as it was"
    desk.let.set()
    queue.close()
    with pytest.raises(ClosedError):
        queue.submit([job()])


def test_several_are_taken_all_or_none(desk: Desk) -> None:
    queue = batcher(desk, most=3)
    held(desk, queue)
    with pytest.raises(BusyError):
        queue.submit([job()] * 4)
    assert queue.waiting == 0
    desk.let.set()
    queue.close()


def test_what_nobody_wants_any_more_is_not_begun(desk: Desk) -> None:
    queue = batcher(desk)
    held(desk, queue)
    told: Told = SimpleQueue()
    gone = job(told.put)
    queue.submit([gone, job()])
    gone.off.set()
    desk.let.set()
    queue.close()
    assert isinstance(told.get(timeout=5), CalledOffError)
    assert gone not in [each for batch in desk.batches for each in batch]


def test_an_idle_model_waits_a_moment_for_company(desk: Desk) -> None:
    desk.let.set()
    queue = batcher(desk, patience=0.3)
    queue.submit([job()])
    time.sleep(0.02)
    queue.submit([job(), job()])
    wait_until(lambda: len(desk.batches) == 1)
    assert len(desk.batches[0]) == 3
    started = time.monotonic()
    queue.submit([job()] * 4)
    wait_until(lambda: len(desk.batches) == 2)
    assert time.monotonic() - started < 0.2, "but not when the batch is full"
    queue.close()


def test_a_fault_is_told_without_its_words_and_the_next_batch_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    failing = iter([True, False])
    told: Told = SimpleQueue()

    def work(jobs: Sequence[Job]) -> None:
        if next(failing):
            raise ZeroDivisionError(jobs[0].key)
        jobs[0].tell("done")

    queue = Batcher(work, most=8, rows=4, budget=1000, patience=0.0)
    queue.submit([job(told.put, key="头痛")])
    assert isinstance(told.get(timeout=5), BrokenError)
    queue.submit([job(told.put)])
    assert told.get(timeout=5) == "done"
    assert "ZeroDivisionError" in caplog.text
    assert "头痛" not in caplog.text
    queue.close()

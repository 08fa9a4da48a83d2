"""Requests that wait are worked on together: one thread for a model, a bounded queue, batches of a kind."""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from bentsao.core.errors import BentsaoError

log = logging.getLogger("bentsao.server")


class BusyError(BentsaoError):
    """The queue is full. seconds: when it may be worth asking again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"排队的请求已满，请在 {seconds} 秒后重试。")
        self.seconds = seconds


class ClosedError(BentsaoError):
    """The server is being stopped."""

    def __init__(self) -> None:
        super().__init__("服务正在停止，不再接受新的请求。")


class CalledOffError(BentsaoError):
    """Nobody waits for this any more, or the server stopped before it was begun."""

    def __init__(self) -> None:
        super().__init__("这个请求在开始之前已被取消。")


class BrokenError(BentsaoError):
    """Something failed that is not the client's fault; what it was stands in the log."""

    def __init__(self) -> None:
        super().__init__("服务器内部出错，请稍后重试；管理员可查看日志。")


class Job:
    """One thing asked of a model, and where to tell what becomes of it.

    key: jobs of one key may be worked on together. length: tokens to be read; room: tokens that may be written.
    tell: called in the model's thread, with pieces of text (str), and last with the result or a BentsaoError.
    off: set by whoever no longer wants it.
    """

    def __init__(self, key: Hashable, length: int, room: int, tell: Callable[[Any], None]) -> None:
        self.key = key
        self.length = length
        self.room = room
        self.tell = tell
        self.off = threading.Event()


class Batcher:
    """A queue of jobs, and the thread that works on them.

    work: does a batch, telling each job its result. most: jobs that may wait. rows, budget: a batch has at most so many
    jobs, and jobs × (longest prompt + room) at most so many tokens; one job alone always goes. patience: seconds that
    an idle model waits for others to come along with the first. seen: told the size of each batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Any]], None],
        *,
        most: int,
        rows: int,
        budget: int,
        patience: float = 0.02,
        seen: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._work = work
        self._most = most
        self._rows = rows
        self._budget = budget
        self._patience = patience
        self._seen = seen
        self._waiting: deque[Job] = deque()
        self._working: Sequence[Job] = ()
        self._changed = threading.Condition()
        self._closed = False
        self._seconds = 1.0  # what a batch takes, as a running mean
        self._thread = threading.Thread(target=self._run, name="bentsao-model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @property
    def working(self) -> int:
        """How many jobs are being worked on."""
        return len(self._working)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue the jobs, all or none. Raises BusyError where they find no room, ClosedError after `close`."""
        with self._changed:
            if self._closed:
                raise ClosedError
            if len(self._waiting) + len(jobs) > self._most:
                batches = math.ceil((len(self._waiting) + len(jobs)) / self._rows)
                raise BusyError(min(60, max(1, math.ceil(batches * self._seconds))))
            self._waiting.extend(jobs)
            self._changed.notify_all()

    def call_off(self) -> None:
        """Call off everything that waits or is being worked on."""
        with self._changed:
            for job in (*self._waiting, *self._working):
                job.off.set()

    def close(self, timeout: float | None = None) -> None:
        """Take no more jobs; wait until those that are there are done (call them off before to be quick)."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        while batch := self._next():
            started = time.monotonic()
            self._seen(len(batch))
            try:
                self._work(batch)
            except BentsaoError as error:
                _tell_all(batch, error)
            except Exception as error:
                # Without the message, in which a person's words may stand.
                where = "".join(traceback.format_tb(error.__traceback__))
                log.error("a batch of %d failed: %s\n%s", len(batch), type(error).__name__, where)
                _tell_all(batch, BrokenError())
            self._seconds += 0.3 * (time.monotonic() - started - self._seconds)
            self._working = ()

    def _next(self) -> list[Job]:
        """The jobs to work on next; none when the queue is closed and empty."""
        with self._changed:
            while True:
                if not self._waiting:
                    if self._closed:
                        return []
                    self._changed.wait_for(lambda: self._waiting or self._closed)
                    self._changed.wait_for(lambda: len(self._waiting) >= self._rows or self._closed, self._patience)
                for job in [job for job in self._waiting if job.off.is_set()]:
                    self._waiting.remove(job)
                    job.tell(CalledOffError())
                if self._waiting:
                    batch = self._together()
                    self._working = batch
                    return batch

    def _together(self) -> list[Job]:
        """The job that waited longest, and those that go with it, taken from the queue; the shortest first."""
        first = self._waiting[0]
        batch: list[Job] = []
        longest = 0
        for job in self._waiting:
            longer = max(longest, job.length)
            near = abs(job.length - first.length) <= max(first.room, first.length) // 2
            fits = (len(batch) + 1) * (longer + first.room) <= self._budget
            if job is first or (job.key == first.key and near and fits and len(batch) < self._rows):
                batch.append(job)
                longest = longer
        taken = set(map(id, batch))
        self._waiting = deque(job for job in self._waiting if id(job) not in taken)
        return sorted(batch, key=lambda job: job.length)


def _tell_all(jobs: Sequence[Job], error: BentsaoError) -> None:
    for job in jobs:
        job.tell(error)

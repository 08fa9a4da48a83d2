"""Many jobs at once: as many workers as calls may be out, until all jobs are done or something ends the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bentsao.construction.teacher.jobs import Job, next_step
from bentsao.models.remote.budget import BudgetReachedError
from bentsao.models.remote.calling import Caller, GivenUpError
from bentsao.models.remote.exchange import Request

SYNC_SECONDS = 1.0
"""How often the journal is forced to the disk; a kill of the process loses nothing in between, a power cut may."""


@dataclass(frozen=True)
class Progress:
    """How far a run is. `left`: seconds to go, None as long as nothing can be said."""

    done: int
    jobs: int
    left: float | None


@dataclass
class Ended:
    """How a run ended. `stopped`: why before its end, '' where it came to it. `given_up`: by the job's request key.

    `answered`: jobs that the journal had the answer to; `asked_again`: replies that were no use and asked for again.
    """

    stopped: str = ""
    given_up: dict[str, GivenUpError] = field(default_factory=dict[str, GivenUpError])
    answered: int = 0
    asked_again: int = 0


INTERRUPTED = "已按要求停下。已得到的回答都在日志里，再运行同一命令即可接着做。"


async def ask_all(
    jobs: Sequence[Job[Any]],
    caller: Caller,
    *,
    concurrency: int,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Ended:
    """Ask until the journal has what each job needs, `concurrency` calls at a time.

    stop: asked before each job; once it says yes, calls that are out are waited for and no more are made. An error that
    ends the run (RemoteError, a full disk) is raised after those, too: what was paid for is not thrown away.
    """
    ended = Ended()
    errors: list[BaseException] = []
    started, done = time.monotonic(), 0
    queue = iter(jobs)

    def taken() -> Iterator[Job[Any]]:
        while not (errors or ended.stopped):
            if stop():
                ended.stopped = INTERRUPTED
            elif (job := next(queue, None)) is not None:
                yield job
            else:
                return

    async def work() -> None:
        nonlocal done
        for job in taken():
            try:
                await _finish(job, caller, ended)
            except BudgetReachedError as error:
                ended.stopped = str(error)
            except Exception as error:
                errors.append(error)
            else:
                done += 1
                asked, seconds = done - ended.answered, time.monotonic() - started
                progress(Progress(done, len(jobs), seconds / asked * (len(jobs) - done) if asked else None))

    progress(Progress(0, len(jobs), None))
    syncing = asyncio.create_task(_keep_synced(caller))
    try:
        await asyncio.gather(*(work() for _ in range(min(concurrency, len(jobs)))))
    finally:
        syncing.cancel()
    if errors:
        raise errors[0]
    return ended


async def _finish(job: Job[Any], caller: Caller, ended: Ended) -> None:
    """Ask what the job needs until it has it."""
    step = next_step(job, caller.journal.reply)
    ended.answered += not isinstance(step, Request)
    try:
        while isinstance(step, Request):
            ended.asked_again += step.key != job.request.key
            await caller.ask(step)
            step = next_step(job, caller.journal.reply)
    except GivenUpError as error:
        ended.given_up[job.request.key] = error


async def _keep_synced(caller: Caller) -> None:
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        await asyncio.to_thread(caller.journal.sync)

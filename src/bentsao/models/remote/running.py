"""Many jobs at once: as many workers as calls may be out, until all jobs are done or something ends the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.models.remote.asking import Asking
from bentsao.models.remote.budget import Budget, BudgetReachedError, Estimate, estimate
from bentsao.models.remote.calling import Caller, GivenUpError
from bentsao.models.remote.client import Client
from bentsao.models.remote.exchange import Request
from bentsao.models.remote.jobs import Job, next_step
from bentsao.models.remote.journal import Journal
from bentsao.models.remote.limits import Limits

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


def estimate_jobs(jobs: Sequence[Job[Any]], asking: Asking, journal: Path, output_tokens: int) -> Estimate:
    """What jobs will take, before anything is sent. A journal that is not there answers nothing and is not made.

    output_tokens: expected of a reply.
    """
    known: set[str] = set()
    if journal.exists():
        with Journal(journal) as book:
            known = {job.request.key for job in jobs if job.request.key in book}
    return estimate(
        (job.request for job in jobs),
        known,
        output_tokens=output_tokens,
        prices=asking.prices,
        concurrency=asking.concurrency,
        requests_per_minute=asking.requests_per_minute,
        tokens_per_minute=asking.tokens_per_minute,
    )


def all_answered(jobs: Sequence[Job[Any]], journal: Journal) -> bool:
    """Whether the journal has all that the jobs need: then no key and no server is needed."""
    return all(not isinstance(next_step(job, journal.reply), Request) for job in jobs)


async def ask_jobs(
    jobs: Sequence[Job[Any]],
    asking: Asking,
    journal: Journal,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Ended:
    """`ask_all` with everything that it takes, as the settings say it."""
    if all_answered(jobs, journal):
        return Ended(answered=len(jobs))
    budget = Budget(asking.max_tokens, asking.max_money, asking.prices, journal.charged)
    endpoint = asking.endpoint.model_copy(update={"connections": asking.concurrency})
    limits = Limits(asking.requests_per_minute, asking.tokens_per_minute)
    async with Client(endpoint) as client:
        caller = Caller(client, journal, budget, limits, asking.patience)
        return await ask_all(jobs, caller, concurrency=asking.concurrency, stop=stop, progress=progress)


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

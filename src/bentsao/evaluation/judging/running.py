"""Having the judge asked: what each call came to, from the journal, and what the run cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.core.records import Record
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.exchange import Request
from bentsao.models.remote.jobs import Got, Invalid, Job, next_step
from bentsao.models.remote.journal import Journal
from bentsao.models.remote.running import Ended, Progress, ask_jobs

NOT_DONE = "没有做"


@dataclass(frozen=True)
class Outcome:
    """What became of one call: the reply as it was read, or why there is none; all that the judge wrote."""

    value: Record | None
    unscored: str = ""
    raw: tuple[str, ...] = ()


class Spent(Record):
    """What judging took: of this run `calls` and `asked_again`; of the journal as a whole the rest.

    money: None where prices are not known. uncertain_tokens: at most so many more may have been charged, for calls that
    were lost or cut off. models: replies by the model's name as the server gives it. stopped: why the run ended early.
    """

    calls: int
    asked_again: int
    replies: int
    tokens_in: int
    tokens_out: int
    money: float | None
    uncertain_tokens: int
    refused: dict[str, int]
    lost: dict[str, int]
    models: dict[str, int]
    stopped: str


@dataclass(frozen=True)
class Doing:
    """stop: asked now and then; once it says yes, the run ends after the calls that are out."""

    stop: Callable[[], bool] = lambda: False
    progress: Callable[[Progress, Journal], None] = lambda _, __: None


@dataclass
class Outcomes:
    """What became of the jobs, by the request's key."""

    by_key: dict[str, Outcome] = field(default_factory=dict[str, Outcome])

    def of(self, jobs: Sequence[Job[Any]]) -> list[Outcome]:
        """Those of these jobs."""
        return [self.by_key[job.request.key] for job in jobs]


def distinct(jobs: Sequence[Job[Any]]) -> list[Job[Any]]:
    """Each request once: two systems that answer in the same words are judged by the same reply."""
    return list({job.request.key: job for job in jobs}.values())


PLAINLY = Doing()


def ask(jobs: Sequence[Job[Any]], asking: Asking, journal: Path, doing: Doing = PLAINLY) -> tuple[Outcomes, Spent]:
    """Have the jobs done. Raises RemoteError where the server or the journal allow no run; what came is kept."""
    once = distinct(jobs)
    with Journal(journal) as book:
        ended = asyncio.run(
            ask_jobs(once, asking, book, stop=doing.stop, progress=lambda reached: doing.progress(reached, book))
        )
        outcomes, models = Outcomes(), Counter[str]()
        for job in once:
            outcomes.by_key[job.request.key] = _outcome(job, book, ended, models)
        total, run = book.total, book.run
        spent = Spent(
            calls=run.calls, asked_again=ended.asked_again, replies=total.replies, tokens_in=total.used.input,
            tokens_out=total.used.output, money=asking.prices.money(total.used),
            uncertain_tokens=total.uncertain.total, refused=run.refused, lost=run.lost, models=dict(models),
            stopped=ended.stopped,
        )  # fmt: skip
    return outcomes, spent


def _outcome(job: Job[Any], journal: Journal, ended: Ended, models: Counter[str]) -> Outcome:
    step = next_step(job, journal.reply)
    first = journal.reply(job.request.key)
    if first:
        models[first.model] += 1
    if isinstance(step, Got):
        texts = (first.text, step.reply.text) if first and step.reply.request != first.request else (step.reply.text,)
        return Outcome(step.value, raw=texts)
    if isinstance(step, Invalid):
        return Outcome(None, step.reason, tuple(reply.text for reply in step.replies))
    assert isinstance(step, Request)
    given_up = ended.given_up.get(job.request.key)
    return Outcome(None, given_up.reason if given_up else NOT_DONE, (first.text,) if first else ())

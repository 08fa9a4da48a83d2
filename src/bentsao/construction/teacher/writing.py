"""From a knowledge base to conversations that a teacher wrote: ask, read, check; and the account of it all."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.construction.teacher.batches import ask_in_batches
from bentsao.construction.teacher.checking import Checked
from bentsao.construction.teacher.jobs import WritingJob
from bentsao.core.files import write_jsonl
from bentsao.core.records import Conversation, Made, Record
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.budget import Budget
from bentsao.models.remote.client import Client
from bentsao.models.remote.exchange import RemoteError, Reply
from bentsao.models.remote.jobs import Got, Invalid, next_step
from bentsao.models.remote.journal import Journal
from bentsao.models.remote.running import Ended, Progress, all_answered, ask_jobs

QA_TOKENS, DIALOGUE_TOKENS = 700, 900
"""About how many tokens a reply has, for estimates."""


class Failure(Record):
    """A job that brought no row for want of a usable reply. `replies`: what the model wrote; none, once or twice."""

    job: str
    request: str
    reason: str
    detail: str
    replies: tuple[str, ...] = ()


class Summary(Record):
    """What a run came to.

    Of this run: `jobs`, of them `answered` by the journal from the start; `calls` that went out, of them `refused` and
    `lost` by reason (both are tried again); `asked_again`: replies that were no use and asked for once more; `seconds`.
    Of the journal as a whole, this run and those before: `replies`, `tokens_in`, `tokens_out`, `money` (None: prices
    not known); `uncounted` replies whose tokens the server did not say; `cut_off` calls that a kill left without an
    answer, and `uncertain_tokens`: at the most so many more may be charged, for these and for the lost.
    Of the rows: `rows` kept, of them `beyond` the evidence; `dropped` rows, `failed` jobs and `shortened` dialogues by
    reason. `left`: jobs not done; `stopped`: why, '' where the run came to its end.
    """

    jobs: int
    answered: int
    calls: int
    refused: dict[str, int]
    lost: dict[str, int]
    asked_again: int
    seconds: float
    replies: int
    tokens_in: int
    tokens_out: int
    money: float | None
    uncounted: int
    cut_off: int
    uncertain_tokens: int
    rows: int
    beyond: int
    dropped: dict[str, int]
    failed: dict[str, int]
    shortened: dict[str, int]
    left: int
    stopped: str


@dataclass(frozen=True)
class Written:
    """The rows in the order of the jobs, the jobs that failed, and the account."""

    rows: list[Conversation]
    failures: list[Failure]
    summary: Summary


@dataclass(frozen=True)
class Doing:
    """How a run is done.

    `batch`: by the provider's batch interface, which is looked at every `poll` seconds. `failures`: file for the jobs
    that failed. `stop`: asked now and then; once it says yes, the run ends after the calls that are out.
    """

    batch: bool = False
    poll: float = 30.0
    failures: Path | None = None
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[Progress, Journal], None] = lambda _, __: None


def write(form: str, jobs: Sequence[WritingJob[Any]], asking: Asking, journal: Path, doing: Doing) -> Written:
    """Have jobs done and make conversations of what came.

    A run that stopped or was killed goes on with the same call: what the journal has is not asked again, and the rows
    of a run in pieces are those of a run in one. Raises RemoteError where the server or the journal allow no run;
    whatever had come until then is in the journal.
    """
    started = time.monotonic()
    with Journal(journal) as book:
        ended = asyncio.run(_ask(jobs, asking, book, doing))
        written = _Rows(form)
        for job in jobs:
            written.take(job, book, ended)
        if doing.failures:
            write_jsonl(doing.failures, [failure.model_dump() for failure in written.failures])
        account, run = book.total, book.run
        summary = Summary(
            jobs=len(jobs), answered=ended.answered, calls=run.calls, refused=run.refused, lost=run.lost,
            asked_again=ended.asked_again, seconds=round(time.monotonic() - started, 3),
            replies=account.replies, tokens_in=account.used.input, tokens_out=account.used.output,
            money=asking.prices.money(account.used), uncounted=account.uncounted, cut_off=account.cut_off,
            uncertain_tokens=account.uncertain.total, rows=len(written.rows), beyond=written.beyond,
            dropped=dict(written.dropped), failed=dict(Counter(failure.reason for failure in written.failures)),
            shortened=dict(written.shortened), left=written.left, stopped=ended.stopped,
        )  # fmt: skip
    return Written(written.rows, written.failures, summary)


async def _ask(jobs: Sequence[WritingJob[Any]], asking: Asking, journal: Journal, doing: Doing) -> Ended:
    def tell(progress: Progress) -> None:
        doing.progress(progress, journal)

    if not doing.batch:
        if journal.batches:
            raise RemoteError(
                f"日志 {journal.path} 里有没取回的批次。请加 --batch 再运行，先把它取回来，免得重复付费。"
            )
        return await ask_jobs(jobs, asking, journal, stop=doing.stop, progress=tell)
    if all_answered(jobs, journal):
        return Ended(answered=len(jobs))
    budget = Budget(asking.max_tokens, asking.max_money, asking.prices, journal.charged)
    async with Client(asking.endpoint) as client:
        return await ask_in_batches(
            jobs, client, journal, budget, asking.patience, poll=doing.poll, stop=doing.stop, progress=tell
        )


@dataclass
class _Rows:
    """The rows that jobs bring, and the account of those they do not."""

    form: str
    rows: list[Conversation] = field(default_factory=list[Conversation])
    failures: list[Failure] = field(default_factory=list[Failure])
    dropped: Counter[str] = field(default_factory=Counter[str])
    shortened: Counter[str] = field(default_factory=Counter[str])
    beyond: int = 0
    left: int = 0

    def take(self, job: WritingJob[Any], journal: Journal, ended: Ended) -> None:
        """What became of a job."""
        step = next_step(job, journal.reply)
        if isinstance(step, Got):
            self._keep(job, step.reply, job.check(step.value))
        elif isinstance(step, Invalid):
            texts = tuple(reply.text for reply in step.replies)
            self._fail(job, step.reason, step.detail, texts)
        elif given_up := ended.given_up.get(job.request.key):
            first = journal.reply(job.request.key)
            self._fail(job, given_up.reason, given_up.detail, (first.text,) if first else ())
        else:
            self.left += 1

    def _fail(self, job: WritingJob[Any], reason: str, detail: str, replies: tuple[str, ...]) -> None:
        key = job.request.key
        self.failures.append(Failure(job=job.name, request=key, reason=reason, detail=detail, replies=replies))

    def _keep(self, job: WritingJob[Any], reply: Reply, found: Iterable[Checked]) -> None:
        for number, checked in enumerate(found, start=1):
            if checked.dropped:
                self.dropped[checked.dropped] += 1
                continue
            if checked.shortened:
                self.shortened[checked.shortened] += 1
            self.beyond += bool(checked.beyond)
            made = Made(
                form=self.form, writer="teacher", model=reply.model or job.request.model, prompt_hash=reply.request,
                raw=reply.text, time=reply.time, beyond=checked.beyond,
            )  # fmt: skip
            self.rows.append(
                Conversation(
                    id=f"teacher-{self.form}-{job.request.key[:16]}-{number}",
                    group=job.name,
                    messages=checked.messages,
                    evidence=checked.evidence,
                    source=job.source,
                    made=made,
                )
            )

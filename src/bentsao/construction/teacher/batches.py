"""The provider's batch interface (OpenAI's /v1/files and /v1/batches): cheaper, and done within a day.

A batch is written down before it is handed in, under a name that goes with it to the server. So one that was taken
while we were killed is found again there and not handed in twice; its replies come into the journal like all others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bentsao.core.files import sha256_text
from bentsao.models.remote.budget import Budget
from bentsao.models.remote.calling import GivenUpError, Patience
from bentsao.models.remote.client import CallError, Client, now
from bentsao.models.remote.exchange import RemoteError, Request, Usage, read_reply
from bentsao.models.remote.jobs import Job, next_step
from bentsao.models.remote.journal import Batch, BatchDone, BatchPlanned, BatchTaken, Journal, Sent
from bentsao.models.remote.running import Ended, Progress

MOST_REQUESTS, MOST_BYTES = 50_000, 100_000_000
"""What a batch may hold."""

LABEL = "bentsao"
"""The field of a batch's metadata that holds its name."""

OVER = {"completed", "failed", "expired", "cancelled"}
NOT_TAKEN = "not taken"
PIECE = 1000  # replies written down at once

WAITING = "批次还在服务器上做。过些时候再运行同一命令即可取回。"

GO_ON = "若这个服务没有批量接口，请去掉 --batch；否则再运行同一命令即可接着做，已得到的回答都在日志里。"

T = TypeVar("T")


async def ask_in_batches(
    jobs: Sequence[Job[Any]],
    client: Client,
    journal: Journal,
    budget: Budget,
    patience: Patience,
    *,
    poll: float,
    stop: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> Ended:
    """Have the jobs done by batches until the journal has what each needs; replies asked for again make a second round.

    Batches of an earlier run are collected first. poll: seconds between two looks at the server. stop: once it says
    yes, the batches stay at the server for the next run. A request that comes back without a reply is given up for this
    run. Raises RemoteError where the server has no batches or refuses one.
    """
    desk = _Desk(client, journal, patience)
    ended = Ended(answered=_done(jobs, journal))
    firsts = {job.request.key for job in jobs}
    failed: dict[str, GivenUpError] = {}
    for batch in [batch for batch in journal.batches.values() if batch.id is None]:
        await desk.find(batch)
    while True:
        while journal.batches:
            for batch in list(journal.batches.values()):
                failed.update(await desk.collect(batch))
            progress(Progress(_done(jobs, journal), len(jobs), None))
            if journal.batches and stop():
                ended.stopped = WAITING
                return ended
            await asyncio.sleep(poll if journal.batches else 0)
        wanted = _wanted(jobs, journal, failed, ended)
        if not wanted:
            return ended
        budget.spent = journal.charged
        fitting = _affordable(wanted, budget)
        if not fitting:
            ended.stopped = budget.reached(wanted[0].most)
            return ended
        ended.asked_again += sum(request.key not in firsts for request in fitting)
        for requests in _divided(fitting):
            await desk.hand_in(requests)


def _done(jobs: Sequence[Job[Any]], journal: Journal) -> int:
    return sum(not isinstance(next_step(job, journal.reply), Request) for job in jobs)


def _wanted(jobs: Sequence[Job[Any]], journal: Journal, failed: dict[str, GivenUpError], ended: Ended) -> list[Request]:
    """What is still to be asked, each once; jobs whose request failed in this run are given up."""
    wanted: dict[str, Request] = {}
    for job in jobs:
        step = next_step(job, journal.reply)
        if isinstance(step, Request):
            if reason := failed.get(step.key):
                ended.given_up[job.request.key] = reason
            else:
                wanted[step.key] = step
    return list(wanted.values())


def _affordable(requests: Sequence[Request], budget: Budget) -> list[Request]:
    """The first requests that the budget holds together."""
    total = Usage()
    for number, request in enumerate(requests):
        total += request.most
        if not budget.fits(total):
            return list(requests[:number])
    return list(requests)


def _divided(requests: Sequence[Request]) -> Iterator[list[tuple[Request, bytes]]]:
    """The requests with their lines of the file, in batches of the size that is allowed."""
    part: list[tuple[Request, bytes]] = []
    size = 0
    for request in requests:
        entry = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions", "body": request.body}
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        if part and (len(part) >= MOST_REQUESTS or size + len(line) > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append((request, line))
        size += len(line)
    yield part


@dataclass
class _Desk:
    """Where batches are handed in and collected."""

    client: Client
    journal: Journal
    patience: Patience

    async def hand_in(self, entries: Sequence[tuple[Request, bytes]]) -> None:
        """Bring the file to the server, write the batch down, then hand it in."""
        name = sha256_text(now() + "".join(request.key for request, _ in entries))[:32]
        sents = tuple(
            Sent(request=request.key, most_input=request.most.input, most_output=request.most.output)
            for request, _ in entries
        )
        api = self.client.api
        data = b"".join(line for _, line in entries)
        file = await self._patiently(lambda: api.files.create(file=(f"{name}.jsonl", data), purpose="batch"))
        self.journal.add(BatchPlanned(name=name, requests=sents))
        try:
            taken = await self.client.attempt(
                lambda: api.batches.create(
                    input_file_id=file.id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={LABEL: name},
                )
            )
        except CallError as error:
            if error.kind != "lost":
                self.journal.add(BatchDone(name=name, status=NOT_TAKEN))
            # A lost one may have been taken: the next run looks for it.
            raise RemoteError(f"没能提交批次（{error.message}）。{GO_ON}") from None
        self.journal.add(BatchTaken(name=name, id=taken.id))

    async def find(self, batch: Batch) -> None:
        """Look for a batch of which it is not known whether the server took it."""

        async def look() -> str | None:
            async for known in self.client.api.batches.list(limit=100):
                if (known.metadata or {}).get(LABEL) == batch.name:
                    return known.id
            return None

        found = await self._patiently(look)
        self.journal.add(
            BatchTaken(name=batch.name, id=found) if found else BatchDone(name=batch.name, status=NOT_TAKEN)
        )

    async def collect(self, batch: Batch) -> dict[str, GivenUpError]:
        """Write down the replies of a batch that has ended; the requests of it that have none, and why.

        Nothing happens to a batch that is not at its end.
        """
        assert batch.id is not None
        number = batch.id
        state = await self._patiently(lambda: self.client.api.batches.retrieve(number))
        if state.status not in OVER:
            return {}
        failed: dict[str, GivenUpError] = {}
        for file in (state.output_file_id, state.error_file_id):
            if file:
                failed.update(await self._take_in(file, batch))
        self.journal.add(BatchDone(name=batch.name, status=state.status))
        if state.status == "failed":
            said = "；".join(str(error.message) for error in (state.errors and state.errors.data) or [])
            raise RemoteError(f"服务器没有接受批次 {number}：{said or '没有说明原因'}。")
        reason = f"批次结束（{state.status}）而没有回答"
        missing = {sent.request for sent in batch.requests if sent.request not in self.journal}
        return {key: failed.get(key) or GivenUpError(reason, f"批次 {number}") for key in missing}

    async def _take_in(self, file: str, batch: Batch) -> dict[str, GivenUpError]:
        """Write down the replies of a result file; what the server says of requests without one."""
        content = await self._patiently(lambda: self.client.api.files.content(file))
        most = {sent.request: Usage(sent.most_input, sent.most_output) for sent in batch.requests}
        lines: list[str] = content.text.split("\n")
        failed: dict[str, GivenUpError] = {}
        for start in range(0, len(lines), PIECE):
            replies = {}
            for line in lines[start : start + PIECE]:
                key, status, body = _result(line)
                if key not in most or key in self.journal:
                    continue  # nothing that we asked for, or written down before a kill
                if status == 200:
                    replies[key] = read_reply(key, most[key], body, now())
                else:
                    failed[key] = GivenUpError(f"批次里失败：HTTP {status}", body[:300])
            self.journal.add(*replies.values())
        return failed

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a call returns that may be made as often as it takes. Raises RemoteError when it goes on failing."""
        for attempt in range(1, self.patience.attempts + 1):
            try:
                return await self.client.attempt(call)
            except CallError as error:
                if error.kind in {"fatal", "rejected"} or attempt == self.patience.attempts:
                    raise RemoteError(f"批量接口出错（{error.message}）。{GO_ON}") from None
                await asyncio.sleep(
                    error.retry_after or min(self.patience.longest, self.patience.base * 2 ** (attempt - 1))
                )
        raise AssertionError("the last attempt raises")


def _result(line: str) -> tuple[str, int, str]:
    """The request's key, the HTTP status and the body in a line of results; ('', 0, '') where it is none."""
    try:
        value = json.loads(line)
        response = value.get("response") or {}
        body = response.get("body") if response else value.get("error")
        return str(value["custom_id"]), int(response.get("status_code") or 0), json.dumps(body, ensure_ascii=False)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", 0, ""

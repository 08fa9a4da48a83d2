"""The journal: every call to a remote model and every reply, written down as it happens.

One JSON line an event: a call is `sent` before it goes out; then the `reply`, or `refused` (the server did not do the
work), or `lost` (it may have, and charged for it). A call that has neither was cut off when the process died. So a run
that is killed at any moment goes on where it was, pays for no reply twice that it had got, and what it spent is known:
exactly for replies, as an upper bound for lost and cut-off calls.

A line is handed to the operating system in one piece before the next thing happens; that is enough for a killed
process. `sync` forces it to the disk, for a power cut.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import Field, TypeAdapter, ValidationError

from bentsao.core.complaints import in_one_line
from bentsao.core.errors import DataError, Fault
from bentsao.core.records import Record
from bentsao.models.remote.exchange import NO_USAGE, RemoteError, Reply, Usage


class Sent(Record):
    """A call goes out. `most_input`, `most_output`: what it can cost at the most, in tokens."""

    event: Literal["sent"] = "sent"
    request: str
    most_input: int
    most_output: int


class Refused(Record):
    """The server did not do the work. `reason`: HTTP 429, 连接失败 …"""

    event: Literal["refused"] = "refused"
    request: str
    reason: str


class Lost(Record):
    """The call went out and no answer came back: it may be charged. `reason`: 超时, 连接失败, HTTP 504 …"""

    event: Literal["lost"] = "lost"
    request: str
    reason: str


class BatchPlanned(Record):
    """A batch is about to be handed in, under a name of ours by which it can be found again."""

    event: Literal["batch planned"] = "batch planned"
    name: str
    requests: tuple[Sent, ...]


class BatchTaken(Record):
    """The server has taken the batch, under its id."""

    event: Literal["batch taken"] = "batch taken"
    name: str
    id: str


class BatchDone(Record):
    """The batch has ended and its replies stand before this line; requests of it without one were not done."""

    event: Literal["batch done"] = "batch done"
    name: str
    status: str


Event = Annotated[Sent | Refused | Lost | Reply | BatchPlanned | BatchTaken | BatchDone, Field(discriminator="event")]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass
class Account:
    """What calls came to. `used`: tokens of the replies; `uncertain`: at most so many more, of lost and cut-off calls.

    `refused` and `lost` count by reason; `uncounted`: replies whose tokens the server did
    not say, charged with the upper bound; `again`: replies to requests that had one already.
    """

    calls: int = 0
    replies: int = 0
    again: int = 0
    uncounted: int = 0
    cut_off: int = 0
    used: Usage = NO_USAGE
    uncertain: Usage = NO_USAGE
    refused: dict[str, int] = field(default_factory=dict[str, int])
    lost: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Batch:
    """A batch that was handed in, or was about to be (`id` None), and whose replies are not in the journal yet."""

    name: str
    requests: tuple[Sent, ...]
    id: str | None = None

    @property
    def most(self) -> Usage:
        """What it can cost at the most."""
        return Usage(sum(sent.most_input for sent in self.requests), sum(sent.most_output for sent in self.requests))


class Journal:
    """The journal in a file; made where there is none. Open it in `with`: one process at a time.

    `total` is the account of all that the file holds, `run` of what was added since it was opened.
    Raises RemoteError where another process has it open, DataError where a line is not an event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total, self.run = Account(), Account()
        self.batches: dict[str, Batch] = {}
        self._places: dict[str, tuple[int, int]] = {}  # request → where its reply stands
        self._open: dict[str, Sent] = {}  # calls that are out
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RemoteError(f"日志 {path} 正被另一个进程使用。请等它结束，或用 --journal 换一个文件。") from None
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
            self._reader = path.open("rb")
            try:
                self._end = self._read()
            except BaseException:
                self._reader.close()
                os.close(self._file)
                raise
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Force all to the disk and let others use the file."""
        self.sync()
        self._reader.close()
        os.close(self._file)
        self._lock.release()

    def reply(self, request: str) -> Reply | None:
        """The reply to the request of this key; None where there is none yet."""
        place = self._places.get(request)
        if place is None:
            return None
        start, size = place
        self._reader.seek(start)
        return Reply.model_validate_json(self._reader.read(size))

    def __contains__(self, request: str) -> bool:
        """Whether the request of this key has a reply."""
        return request in self._places

    def add(self, *events: Event) -> None:
        """Write down what happened. When this returns, a kill of the process loses none of it."""
        lines = [event.model_dump_json().encode() + b"\n" for event in events]
        self._write(b"".join(lines))
        for event, line in zip(events, lines, strict=True):
            self._take(event, self._end, len(line), self.run)
            self._end += len(line)

    @property
    def charged(self) -> Usage:
        """What a budget must count: all that is used, all that may be, and the most that open batches can cost."""
        out = self.total.used + self.total.uncertain
        for batch in self.batches.values():
            out += batch.most
        return out

    def sync(self) -> None:
        """Force what was written to the disk."""
        os.fsync(self._file)

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._end)  # no half line before whatever is written next
            raise

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self) -> int:
        """Take in what the file holds; returns where it ends. What a kill left of a last line is cut away."""
        faults: list[Fault] = []
        place, whole = 0, True
        for number, line in enumerate(self._reader, start=1):
            try:
                event = EVENT.validate_json(line)
            except ValidationError as error:
                if not line.endswith(b"\n"):
                    break  # torn by a kill
                reason = f"不是日志的一行：{in_one_line(error)}。日志可能被改动过；请恢复备份，或删去这一行。"
                faults.append(Fault(str(self.path), number, "行", line[:40].decode("utf-8", "replace"), reason))
            else:
                self._take(event, place, len(line), None)
            place, whole = place + len(line), line.endswith(b"\n")
        if faults:
            raise DataError(faults)
        os.ftruncate(self._file, place)
        if not whole:  # the kill took the last line's end only
            place += os.write(self._file, b"\n")
        for sent in self._open.values():
            _cut_off(self.total, sent)
        self._open.clear()
        return place

    def _take(self, event: Event, start: int, size: int, run: Account | None) -> None:
        """Count an event, in `total` and in `run`, and remember where a reply stands."""
        accounts = [self.total] if run is None else [self.total, run]
        if isinstance(event, Sent):
            if before := self._open.pop(event.request, None):
                for account in accounts:
                    _cut_off(account, before)
            self._open[event.request] = event
            for account in accounts:
                account.calls += 1
        elif isinstance(event, Reply):
            self._open.pop(event.request, None)
            for account in accounts:
                _count_reply(account, event, again=event.request in self._places)
            self._places.setdefault(event.request, (start, size))
        elif isinstance(event, Refused):
            self._open.pop(event.request, None)
            for account in accounts:
                account.refused[event.reason] = account.refused.get(event.reason, 0) + 1
        elif isinstance(event, Lost):
            sent = self._open.pop(event.request, None)
            for account in accounts:
                account.lost[event.reason] = account.lost.get(event.reason, 0) + 1
                if sent:
                    account.uncertain += Usage(sent.most_input, sent.most_output)
        else:
            self._take_batch(event, accounts)

    def _take_batch(self, event: BatchPlanned | BatchTaken | BatchDone, accounts: Sequence[Account]) -> None:
        if isinstance(event, BatchPlanned):
            self.batches[event.name] = Batch(event.name, event.requests)
        elif isinstance(event, BatchTaken):
            requests = self.batches[event.name].requests
            self.batches[event.name] = Batch(event.name, requests, event.id)
            for account in accounts:
                account.calls += len(requests)
        else:
            del self.batches[event.name]


def _cut_off(account: Account, sent: Sent) -> None:
    account.cut_off += 1
    account.uncertain += Usage(sent.most_input, sent.most_output)


def _count_reply(account: Account, reply: Reply, *, again: bool) -> None:
    account.replies += 1
    account.again += again
    account.uncounted += not reply.counted
    account.used += reply.usage

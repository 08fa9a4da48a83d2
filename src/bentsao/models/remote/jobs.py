"""What there is to ask: one job a call, with the way its reply is read and asked for again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bentsao.models.remote.exchange import Reply, Request, Turn
from bentsao.models.remote.reading import ReplyError

T = TypeVar("T")


@dataclass(frozen=True)
class Job(Generic[T]):
    """One thing to be asked.

    `name`: what it is about. `read` makes of a reply what is wanted, or raises ReplyError. `again`: the words that ask
    for a reply once more; `$error` in them is what was wrong.
    """

    name: str
    request: Request
    read: Callable[[Reply], T]
    again: str


@dataclass(frozen=True)
class Got(Generic[T]):
    """A job done: what was read, and the reply it was read from."""

    value: T
    reply: Reply


@dataclass(frozen=True)
class Invalid:
    """A job whose reply was no use the second time either; both replies, and what was wrong with the last."""

    reason: str
    detail: str
    replies: tuple[Reply, Reply]


Known = Callable[[str], Reply | None]
"""The reply to a request by its key; None where it has none (`Journal.reply`)."""


def next_step(job: Job[T], known: Known) -> Request | Got[T] | Invalid:
    """Where a job stands: the request that is to be made next, or how it ended.

    Asks nothing and remembers nothing: what is known decides, so that a run taken up again stands where it was.
    """
    first = known(job.request.key)
    if first is None:
        return job.request
    try:
        return Got(job.read(first), first)
    except ReplyError as error:
        request = asked_again(job, first, error)
    second = known(request.key)
    if second is None:
        return request
    try:
        return Got(job.read(second), second)
    except ReplyError as error:
        return Invalid(error.reason, error.detail, (first, second))


def asked_again(job: Job[T], reply: Reply, error: ReplyError) -> Request:
    """The request with the reply it got, and what is wrong with it."""
    request = job.request
    wish = job.again.replace("$error", error.detail).strip()
    if reply.finish == "unreadable" or not reply.text.strip():
        # There is nothing to show the model, and most want users and assistant to take turns.
        *before, last = request.messages
        turns = (*before, Turn(last.role, f"{last.content}\n\n{wish}"))
    else:
        turns = (*request.messages, Turn("assistant", reply.text), Turn("user", wish))
    return Request(request.model, turns, request.parameters)

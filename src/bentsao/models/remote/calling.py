"""Asking: the journal first, then budget, rate limits, the call, and what to do when it fails."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Protocol

from bentsao.core.records import Record
from bentsao.models.remote.budget import Budget
from bentsao.models.remote.client import CallError
from bentsao.models.remote.exchange import RemoteError, Reply, Request, Usage
from bentsao.models.remote.journal import Journal, Lost, Refused, Sent
from bentsao.models.remote.limits import Limits

LONGEST_WAIT = 300.0
"""Seconds; a server that asks for more means: not today."""

GIVEN_UP_IN_A_ROW = 8
"""So many requests given up, and no reply in between: the server is down, or does not understand us."""


class Sender(Protocol):
    """Makes one call (`client.Client`)."""

    async def send(self, request: Request) -> Reply:
        """The reply. Raises CallError."""
        ...


class Patience(Record):
    """How often a call is tried, and how long between: base × 2^n seconds, at most `longest`, or as the server asks."""

    attempts: int = 6
    base: float = 1.0
    longest: float = 60.0


class GivenUpError(Exception):
    """This request has no reply and will have none in this run; `reason` says why, shown and counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass
class Caller:
    """Asks each request once, whatever happens."""

    sender: Sender
    journal: Journal
    budget: Budget
    limits: Limits
    patience: Patience = field(default_factory=Patience)
    _under_way: dict[str, asyncio.Future[Reply]] = field(default_factory=dict[str, "asyncio.Future[Reply]"])
    _in_a_row: int = 0

    async def ask(self, request: Request) -> Reply:
        """The reply, from the journal or from the server.

        Raises GivenUpError where this request gets none, RemoteError where no request will get any, and
        BudgetReachedError.
        """
        if known := self.journal.reply(request.key):
            return known
        if same := self._under_way.get(request.key):
            return await asyncio.shield(same)
        future = self._under_way[request.key] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._call(request)
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # seen, also where nobody else waits
            else:
                future.cancel()
            raise
        else:
            future.set_result(reply)
            return reply
        finally:
            del self._under_way[request.key]

    async def _call(self, request: Request) -> Reply:
        for attempt in range(1, self.patience.attempts + 1):
            await self.budget.reserve(request.most)
            charged = Usage()  # as long as nothing has gone out
            try:
                await self.limits.admit(request.likely)
                self.journal.add(
                    Sent(request=request.key, most_input=request.most.input, most_output=request.most.output)
                )
                charged = request.most
                try:
                    reply = await self.sender.send(request)
                except CallError as error:
                    charged = self._failed(request, error)
                    self._give_up(error, attempt)
                    wait = self._wait(error, attempt)
                else:
                    # Nothing may come between the reply and this line: until it is written it can be lost.
                    self.journal.add(reply)
                    charged = reply.usage
                    self.limits.correct(request.likely, reply.usage.total)
                    self._in_a_row = 0
                    return reply
            finally:
                self.budget.settle(request.most, charged)
            await asyncio.sleep(wait)
        raise AssertionError("the last attempt gives up")

    def _failed(self, request: Request, error: CallError) -> Usage:
        """Write a failure down; what it is charged with."""
        if error.kind == "lost":
            self.journal.add(Lost(request=request.key, reason=error.reason))
            return request.most
        self.journal.add(Refused(request=request.key, reason=error.reason))
        return Usage()

    def _give_up(self, error: CallError, attempt: int) -> None:
        """Raise where there is no use in trying again."""
        if error.kind == "fatal":
            raise RemoteError(f"模型服务拒绝了请求（{error.message}）。请检查地址、模型名、密钥和账户额度。")
        if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
            raise RemoteError(
                f"模型服务要求等 {error.retry_after:.0f} 秒再来（{error.message}）。"
                "已得到的回答都在日志里，到时再运行同一命令即可接着做。"
            )
        if error.kind != "rejected" and attempt < self.patience.attempts:
            return
        self._in_a_row += 1
        if self._in_a_row >= GIVEN_UP_IN_A_ROW:
            raise RemoteError(
                f"连续 {self._in_a_row} 个请求没有得到回答，最后一次：{error.message}。"
                "请检查模型服务；已得到的回答都在日志里，再运行同一命令即可接着做。"
            )
        reason = "服务器拒收" if error.kind == "rejected" else "多次重试仍无回答"
        raise GivenUpError(reason, error.message)

    def _wait(self, error: CallError, attempt: int) -> float:
        """Seconds until the next attempt; where the server says how long, all calls wait with it."""
        if error.retry_after:
            self.limits.pause(error.retry_after)
            return 0.0
        longest = min(self.patience.longest, self.patience.base * 2 ** (attempt - 1))
        return longest * random.uniform(0.5, 1.0)  # so that those refused together do not come back together

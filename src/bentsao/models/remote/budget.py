"""What may be spent, in tokens and in money; and what a run will cost before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable
from dataclasses import dataclass

from bentsao.core.errors import ConfigError
from bentsao.core.records import Record
from bentsao.models.remote.exchange import NO_USAGE, RemoteError, Request, Usage


class Prices(Record):
    """Price of a million tokens, in whatever currency; None: not known."""

    input: float | None = None
    output: float | None = None

    def money(self, usage: Usage) -> float | None:
        """What so many tokens cost; None where a price that counts is not known."""
        if self.input is None or self.output is None:
            return None
        return (usage.input * self.input + usage.output * self.output) / 1e6


UNKNOWN = Prices()


class BudgetReachedError(RemoteError):
    """The next call could exceed the budget."""


class Budget:
    """Lets a call out only where it cannot exceed the budget, even if it costs the most that it can.

    spent: what the journal holds already; the budget is for all of it, so that a run taken up again spends no more
    in all. max_tokens, max_money: None is no limit. Raises ConfigError for a limit in money without prices.
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        max_money: float | None = None,
        prices: Prices = UNKNOWN,
        spent: Usage = NO_USAGE,
    ) -> None:
        if max_money is not None and prices.money(Usage()) is None:
            raise ConfigError(
                "限了花费（--max-money）就要知道价格：请用 --price-in 和 --price-out 给出每百万 token 的价格。"
            )
        self._max_tokens, self._max_money, self._prices = max_tokens, max_money, prices
        self.spent = spent
        self._reserved = Usage()
        self._out = 0
        self._settled = asyncio.Event()

    async def reserve(self, most: Usage) -> None:
        """Returns when so much can be spent; waits for calls that are out, which mostly cost less than was reserved.

        Raises BudgetReachedError where none is out and it does not fit.
        """
        while not self.fits(most):
            if not self._out:
                raise BudgetReachedError(self.reached(most))
            self._settled.clear()
            await self._settled.wait()
        self._reserved += most
        self._out += 1

    def settle(self, most: Usage, charged: Usage) -> None:
        """A call that `most` was reserved for is over and is charged with so much."""
        self._reserved = Usage(self._reserved.input - most.input, self._reserved.output - most.output)
        self._out -= 1
        self.spent += charged
        self._settled.set()

    def fits(self, most: Usage) -> bool:
        """Whether so much can be spent besides what is spent and reserved."""
        then = self.spent + self._reserved + most
        if self._max_tokens is not None and then.total > self._max_tokens:
            return False
        return self._max_money is None or (self._prices.money(then) or 0.0) <= self._max_money

    def reached(self, most: Usage) -> str:
        """Why a run stops where so much does not fit any more, for the reader."""
        spent, money = self.spent, self._prices.money(self.spent)
        said = f"已计 {spent.total:,} token" + ("" if money is None else f"、花费 {money:.4f}")
        limits = [] if self._max_tokens is None else [f"{self._max_tokens:,} token"]
        limits += [] if self._max_money is None else [f"花费 {self._max_money}"]
        return (
            f"预算到了：{said}，下一次调用最多要 {most.total:,} token，会超过预算（{'、'.join(limits)}）。"
            "已得到的都在日志里；加大预算再运行同一命令即可接着做。"
        )


@dataclass(frozen=True)
class Estimate:
    """What a run will take. `calls` are those still to be made, `answered` those that the journal answers.

    `likely`: tokens as expected; `most`: the upper bound; money None where prices are not known.
    """

    calls: int
    answered: int
    likely: Usage
    most: Usage
    likely_money: float | None
    most_money: float | None
    seconds: float


TOKENS_A_SECOND = 40.0
"""How fast a reply is expected to be written, where nothing is known of the server."""


def estimate(
    requests: Iterable[Request],
    answered: Container[str],
    *,
    output_tokens: int,
    prices: Prices,
    concurrency: int,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
) -> Estimate:
    """The calls, tokens, money and time that these requests will take; retries and asking again come on top.

    answered: keys of requests that need no call. output_tokens: expected of a reply. The time is the longest of what
    the calls take, `concurrency` at a time, and what each rate limit makes of them.
    """
    calls, known = 0, 0
    likely, most = Usage(), Usage()
    for request in requests:
        if request.key in answered:
            known += 1
            continue
        calls += 1
        likely += Usage(request.likely, min(output_tokens, request.most.output))
        most += request.most
    seconds = calls * (1 + output_tokens / TOKENS_A_SECOND) / concurrency
    if requests_per_minute is not None:
        seconds = max(seconds, 60 * calls / requests_per_minute)
    if tokens_per_minute is not None:
        seconds = max(seconds, 60 * likely.total / tokens_per_minute)
    return Estimate(calls, known, likely, most, prices.money(likely), prices.money(most), seconds)

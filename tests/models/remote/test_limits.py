from __future__ import annotations

import asyncio
import random

import pytest

from bentsao.models.remote.limits import Bucket, Limits


class Clock:
    """A clock that goes only while somebody sleeps; `asyncio.sleep` is made to turn it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            self.now += seconds
            await real(0)

        monkeypatch.setattr(asyncio, "sleep", sleep)

    def __call__(self) -> float:
        return self.now


def most_in_a_minute(taken: list[tuple[float, float]]) -> float:
    """The largest sum within any 60 seconds (half open)."""
    return max(sum(amount for at, amount in taken if start <= at < start + 60 - 1e-6) for start, _ in taken)


@pytest.mark.parametrize("per_minute", [1, 7, 60, 61, 600, 5000])
def test_requests_never_exceed_a_minute_and_nearly_reach_it(per_minute: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    taken: list[tuple[float, float]] = []
    count = min(3 * per_minute, 700)

    async def run() -> None:
        limits = Limits(per_minute, clock=clock)
        for _ in range(count):
            await limits.admit(10)
            taken.append((clock.now, 1))

    asyncio.run(run())
    assert most_in_a_minute(taken) <= per_minute
    took = taken[-1][0] - taken[0][0]
    assert took <= 60 * count / per_minute * 62 / 60


def test_tokens_exceed_a_minute_by_one_request_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, draw = Clock(monkeypatch), random.Random(1)
    taken: list[tuple[float, float]] = []

    async def run() -> None:
        limits = Limits(None, 10_000, clock=clock)
        for _ in range(60):
            amount = draw.randrange(50, 3000)
            await limits.admit(amount)
            taken.append((clock.now, amount))

    asyncio.run(run())
    assert most_in_a_minute(taken) <= 10_000 + 3000
    assert sum(amount for _, amount in taken) / (taken[-1][0] - taken[0][0]) * 60 > 9_500


def test_what_was_used_corrects_what_was_thought(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def run(used: int) -> float:
        limits = Limits(None, 6_100, clock=clock)
        start = clock.now
        for _ in range(50):
            await limits.admit(100)
            limits.correct(100, used)
        return clock.now - start

    assert asyncio.run(run(200)) == pytest.approx(2 * asyncio.run(run(100)), rel=0.05)


def test_first_come_first_served() -> None:
    order: list[int] = []

    async def run() -> None:
        limits = Limits(60_000)

        async def one(number: int) -> None:
            await limits.admit(1)
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(1200)))

    asyncio.run(run())
    assert order == list(range(1200))


def test_a_pause_holds_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    async def run() -> float:
        limits = Limits(clock=clock)
        await limits.admit(1)
        start = clock.now
        limits.pause(5)
        limits.pause(2)
        await asyncio.gather(*(limits.admit(1) for _ in range(3)))
        return clock.now - start

    assert asyncio.run(run()) == pytest.approx(5)


def test_a_bucket_takes_back() -> None:
    bucket = Bucket(61, lambda: 0.0)
    bucket.take(1)
    assert bucket.wait(1) > 0
    bucket.take(-1)
    assert bucket.wait(1) == 0

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.core.errors import ConfigError
from bentsao.models.remote.budget import Budget, BudgetReachedError, Prices, estimate
from bentsao.models.remote.exchange import Request, Turn, Usage

PRICES = Prices(input=2.0, output=8.0)


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(0, 5000),
    money=st.none() | st.floats(0, 0.02),
    calls=st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1)), max_size=40),
)
def test_a_budget_is_never_exceeded_while_calls_cost_no_more_than_their_most(
    limit: int, money: float | None, calls: list[tuple[int, int, float]]
) -> None:
    async def run() -> Budget:
        budget = Budget(limit, money, PRICES)

        async def call(most: Usage, share: float) -> None:
            try:
                await budget.reserve(most)
            except BudgetReachedError:
                return
            await asyncio.sleep(0)
            budget.settle(most, Usage(int(most.input * share), int(most.output * share)))
            assert budget.spent.total <= limit

        await asyncio.gather(*(call(Usage(i, o), share) for i, o, share in calls))
        return budget

    budget = asyncio.run(run())
    assert budget.spent.total <= limit
    assert money is None or (PRICES.money(budget.spent) or 0) <= money


def test_a_call_waits_for_those_that_are_out_and_then_fits() -> None:
    async def run() -> list[str]:
        order: list[str] = []
        budget = Budget(100)
        await budget.reserve(Usage(60, 20))

        async def second() -> None:
            await budget.reserve(Usage(50, 10))
            order.append("second")

        task = asyncio.create_task(second())
        await asyncio.sleep(0)
        order.append("first is over")
        budget.settle(Usage(60, 20), Usage(10, 5))
        await task
        with pytest.raises(BudgetReachedError, match="预算到了") as caught:
            budget.settle(Usage(50, 10), Usage(50, 10))
            await budget.reserve(Usage(20, 10))
        assert "75 token" in str(caught.value)
        return order

    assert asyncio.run(run()) == ["first is over", "second"]


def test_what_the_journal_holds_counts() -> None:
    budget = Budget(100, spent=Usage(90, 5))
    assert budget.fits(Usage(3, 2))
    assert not budget.fits(Usage(3, 3))


def test_a_limit_in_money_needs_prices() -> None:
    with pytest.raises(ConfigError, match="--price-in"):
        Budget(max_money=1.0, prices=Prices(input=1.0))
    assert Prices(input=1.0).money(Usage(1, 1)) is None


def test_an_estimate_counts_what_is_not_answered() -> None:
    requests = [Request("m", (Turn("user", "问" * size),), {"max_tokens": 500}) for size in (100, 200, 300)]
    found = estimate(
        requests, {requests[0].key}, output_tokens=200, prices=PRICES, concurrency=2, requests_per_minute=1.0
    )
    assert (found.calls, found.answered) == (2, 1)
    assert found.likely.output == 400
    assert 350 <= found.likely.input <= 500
    assert found.most.output == 1000
    assert found.most.input >= 1500  # three bytes a character
    assert found.likely_money == pytest.approx((found.likely.input * 2 + 400 * 8) / 1e6)
    assert found.seconds == pytest.approx(120)


def test_a_request_never_has_more_tokens_than_its_most(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    for _ in range(50):
        text = "".join(chr(draw.choice([draw.randrange(32, 127), draw.randrange(0x4E00, 0x9FFF)])) for _ in range(80))
        request = Request("m", (Turn("system", text), Turn("user", text)), {"max_completion_tokens": 7})
        assert request.most.input >= 2 * len(text.encode())
        assert request.most.output == 7

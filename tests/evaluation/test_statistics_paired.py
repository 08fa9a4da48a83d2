"""Paired tests against cases worked out by hand, published examples and scipy."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import stats

from bentsao.evaluation.statistics_paired import (
    clustered,
    difference,
    holm,
    items_needed,
    mcnemar,
    ratio_difference,
)


def test_mcnemar_is_the_binomial_test():
    first = [True] * 9 + [False] * 2 + [True] * 5 + [False] * 4
    second = [False] * 9 + [True] * 2 + [True] * 5 + [False] * 4
    found = mcnemar(first, second)
    assert (found.both, found.first, found.second, found.neither) == (5, 9, 2, 4)
    # By hand: 2 × (C(11,0) + C(11,1) + C(11,2)) / 2^11 = 134 / 2048.
    assert found.p == pytest.approx(134 / 2048)
    assert found.p == pytest.approx(stats.binomtest(2, 11).pvalue)
    assert mcnemar([True, False], [False, True]).p == 1.0
    assert mcnemar([True], [True]).p == 1.0
    assert mcnemar([True] * 3000, [False] * 3000).p == pytest.approx(0, abs=1e-300)


def test_difference_is_paired():
    rng = np.random.default_rng(2)
    hard = rng.normal(0, 5, 60)  # what is hard for one is hard for the other
    first, second = hard + rng.normal(0.5, 1, 60), hard + rng.normal(0, 1, 60)
    found = difference(first.tolist(), second.tolist())
    gaps = first - second
    assert found.value == pytest.approx(gaps.mean())
    half = 1.96 * gaps.std(ddof=1) / math.sqrt(60)
    assert found.low == pytest.approx(gaps.mean() - half, abs=0.05)
    assert found.high == pytest.approx(gaps.mean() + half, abs=0.05)
    expected = stats.permutation_test(
        (first, second), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=9999, rng=1
    )
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)


def test_few_groups_are_counted_out_and_cannot_be_significant():
    # By hand: of the 8 sign flips of (1, 2, 3) two reach a sum of ±6.
    assert difference([1, 2, 3], [0, 0, 0]).p == 0.25
    # Thirty items of three groups are three.
    found = difference([1.0] * 30, [0.0] * 30, [str(place % 3) for place in range(30)])
    assert (found.groups, found.p) == (3, 0.25)
    assert difference([0.5, 0.5], [0.5, 0.5]).p == 1.0
    assert difference([], []).value is None


def test_a_difference_of_ratios_by_hand():
    # 4/5 − 1/4. With one group exchanged it is 2/3 − 3/6 or the other way round, with both −0.55: two of four as far.
    found = ratio_difference(([3, 1], [4, 1]), ([1, 0], [2, 2]))
    assert found.value == pytest.approx(0.55)
    assert found.p == 0.5
    assert ratio_difference(([1], [0]), ([1], [1])).value is None


def test_exchanges_without_anything_below_the_line_count_as_far():
    # All of the second's below stands in one group: exchanged alone or kept alone, a system has 0/0.
    first, second = ([4.0, 1.0], [4.0, 0.0]), ([0.0, 0.0], [0.0, 4.0])
    assert ratio_difference(first, second).p == 1.0
    many = ([1.0] + [0.0] * 19, [1.0] + [0.0] * 19), ([0.0] * 20, [0.0] * 19 + [1.0])
    assert ratio_difference(*many).p == pytest.approx(1.0)
    assert ratio_difference(([1.0], [1.0]), ([0.0], [1.0])).low is None


def test_a_difference_of_ratios_is_as_wide_as_it_is():
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 9, 200).astype(float)
    other = rng.integers(1, 9, 200).astype(float)
    first, second = rng.binomial(sizes.astype(int), 0.7), rng.binomial(other.astype(int), 0.6)
    found = ratio_difference((first.tolist(), sizes.tolist()), (second.tolist(), other.tolist()))
    rates = first.sum() / sizes.sum(), second.sum() / other.sum()
    pulls = (first - rates[0] * sizes) / sizes.mean() - (second - rates[1] * other) / other.mean()
    half = 1.96 * pulls.std(ddof=1) / math.sqrt(200)
    assert found.deviation == pytest.approx(pulls.std(ddof=1))
    assert (found.low, found.high) == (
        pytest.approx(rates[0] - rates[1] - half, abs=0.006),
        pytest.approx(rates[0] - rates[1] + half, abs=0.006),
    )


def test_no_difference_is_seldom_found():
    rng = np.random.default_rng(5)
    groups = [str(place // 4) for place in range(80)]
    found = 0
    for seed in range(60):
        shared = np.repeat(rng.normal(0, 1, 20), 4)
        gaps = shared + rng.normal(0, 0.3, 80)
        p = difference(gaps.tolist(), [0.0] * 80, groups, seed=seed).p
        assert p is not None
        found += p < 0.05
    assert found <= 8  # 3 expected; 9 or more has a chance of 0.3 %


def test_clustered_error_by_hand():
    # Mean 2.5; deviations by group: a −1.5 − 0.5 = −2, b 0.5 + 1.5 = 2. √(2/1 × 8) / 4 = 1.
    found = clustered([1, 2, 3, 4], ["a", "a", "b", "b"])
    assert found.error == pytest.approx(1.0)
    alone = clustered([1, 2, 3, 4])
    assert alone.error == pytest.approx(stats.sem([1, 2, 3, 4]))
    assert alone.design == pytest.approx(1.0)
    assert found.design == pytest.approx(1 / stats.sem([1, 2, 3, 4]) ** 2)
    assert clustered([1, 2], ["a", "a"]).error is None


def test_holm_by_hand():
    # Sorted: 0.005 × 4, 0.01 × 3, 0.03 × 2, 0.04 × 1 → not below the one before.
    assert holm([0.01, None, 0.04, 0.03, 0.005]) == [
        pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06), pytest.approx(0.02)
    ]  # fmt: skip
    assert holm([]) == []


def test_items_needed_have_the_power_they_promise():
    # By hand: (1.959964 + 0.841621)² × 1 / 0.25 = 31.4.
    assert items_needed(0.5, 1.0) == 32
    assert items_needed(0.5, 1.0, design=2) == 63
    assert items_needed(0.0, 1.0) is None
    assert items_needed(1.0, 0.0) == 6  # 2 / 2^6 is the first below 0.05


def test_thousands_of_items_take_no_time():
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    difference(rng.random(3000).tolist(), rng.random(3000).tolist())
    assert time.perf_counter() - started < 5

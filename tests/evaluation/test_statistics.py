"""Intervals against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bentsao.evaluation.statistics import mean, ratio, share, wilson


def test_wilson_as_published():
    # Wilson 1927; the figures for 8 of 10 stand in Newcombe 1998, method 3, and can be worked out by hand.
    low, high = wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert wilson(0, 0) == (0.0, 1.0)


def test_mean_and_its_interval_near_the_normal_one():
    rng = np.random.default_rng(1)
    values = rng.normal(5, 2, 400).tolist()
    figure = mean(values)
    assert figure.value == pytest.approx(np.mean(values))
    half = 1.96 * np.std(values) / 20
    assert figure.low == pytest.approx(np.mean(values) - half, abs=0.03)
    assert figure.high == pytest.approx(np.mean(values) + half, abs=0.03)


def test_groups_that_hang_together_widen_the_interval():
    values = [1.0] * 50 + [0.0] * 50
    alone = mean(values)
    together = mean(values, [str(place // 10) for place in range(100)])
    assert alone.low is not None
    assert together.low is not None
    assert together.low < alone.low - 0.05


def test_a_ratio_weighs_items_by_what_is_below_the_line():
    figure = ratio([1, 0], [1, 3])
    assert (figure.n, figure.value) == (2, 0.25)
    assert ratio([], []).value is None
    assert ratio([0.0], [0.0]).n == 0


def test_all_right_is_not_certain():
    figure = share([True] * 20)
    assert figure.value == 1.0
    assert figure.low is not None
    assert figure.low < 0.9
    assert share([]).value is None


def test_one_group_has_no_interval():
    for figure in (mean([1.0, 0.0, 0.5], ["a"] * 3), share([True, False], ["a"] * 2), mean([0.3])):
        assert figure.value is not None
        assert (figure.low, figure.high) == (None, None)


def test_all_right_in_few_groups_is_less_certain():
    grouped, alone = share([True] * 40, ["a", "b"] * 20), share([True] * 40)
    assert (grouped.n, grouped.value) == (40, 1.0)
    assert (grouped.low, grouped.high) == wilson(2, 2)
    assert (alone.low, alone.high) == wilson(40, 40)
    none = share([False] * 40, ["a", "b"] * 20)
    assert (none.low, none.high) == wilson(0, 2)


def test_seeded():
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    assert mean(values, seed=3) == mean(values, seed=3)

"""Figures with their errors: means with bootstrap intervals, over groups where items of one group hang together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bentsao.core.records import Record

RESAMPLES = 10_000


class Figure(Record):
    """A mean over `n` items with its 95 % interval; all None where n is 0, the interval where there is one group."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def mean(values: Sequence[float], groups: Sequence[str] | None = None, *, seed: int = 0) -> Figure:
    """The mean with a percentile bootstrap interval of 10,000 resamples (Efron 1979).

    groups: the group of each value; whole groups are then resampled, since several questions about one entity are not
    independent. None: each value stands alone.
    """
    return ratio(values, [1.0] * len(values), groups, seed=seed)


def ratio(
    above: Sequence[float], below: Sequence[float], groups: Sequence[str] | None = None, *, seed: int = 0
) -> Figure:
    """Σ above / Σ below (claims that are right over claims), with a bootstrap interval over items or groups.

    `n` counts the items with something below the line. An interval of a figure that is 0 or 1 in every item is that
    figure: the bootstrap cannot see beyond; Wilson's (`wilson`) does.
    """
    counted = sum(weight > 0 for weight in below)
    if not counted:
        return Figure(n=0)
    names = {name: place for place, name in enumerate(dict.fromkeys(groups or map(str, range(len(above)))))}
    places = [names[name] for name in groups] if groups else list(range(len(above)))
    tops = np.bincount(places, weights=above, minlength=len(names))
    bottoms = np.bincount(places, weights=below, minlength=len(names))
    value = float(tops.sum() / bottoms.sum())
    if len(names) == 1:
        return Figure(n=counted, value=value)
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    step = max(1, 2_000_000 // len(names))
    for start in range(0, RESAMPLES, step):
        picks = rng.integers(0, len(names), size=(min(step, RESAMPLES - start), len(names)))
        weights = bottoms[picks].sum(axis=1)
        drawn += (tops[picks].sum(axis=1)[weights > 0] / weights[weights > 0]).tolist()
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    return Figure(n=counted, value=value, low=low, high=high)


def share(right: Sequence[bool], groups: Sequence[str] | None = None, *, seed: int = 0) -> Figure:
    """A share of items; where all or none are right, with Wilson's interval of as many items as there are groups."""
    figure = mean([float(item) for item in right], groups, seed=seed)
    if figure.value in (0.0, 1.0):
        independent = len(set(groups)) if groups else len(right)
        low, high = wilson(round(figure.value * independent), independent)
        return figure.model_copy(update={"low": low, "high": high})
    return figure


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = p + z * z / (2 * n)
    spread = z * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    below = 1 + z * z / n
    return max(0.0, (centre - spread) / below), min(1.0, (centre + spread) / below)

"""Do raters agree? Cohen's kappa for two, Krippendorff's alpha for any number and with ratings missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bentsao.evaluation.statistics import RESAMPLES, Figure

Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["none", "linear", "quadratic"]


def cohen_kappa(first: Sequence[float], second: Sequence[float], weights: Weights = "none") -> float | None:
    """Cohen's kappa (1960) of two raters on the same items; weighted (1968) by how far two ratings are apart.

    None without items, or where both gave one and the same rating throughout: chance then explains everything.
    """
    values = np.unique([*first, *second])
    if not len(values):
        return None
    table = np.zeros((len(values), len(values)))
    np.add.at(table, (np.searchsorted(values, first), np.searchsorted(values, second)), 1)
    apart = np.abs(values[:, None] - values[None, :])
    if weights == "none":
        apart = (apart > 0).astype(float)
    elif weights == "quadratic":
        apart **= 2
    by_chance = float((np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum() * apart).sum())
    return 1 - float((table * apart).sum()) / by_chance if by_chance else None


def krippendorff_alpha(ratings: Sequence[Sequence[float | None]], level: Level, *, seed: int = 0) -> Figure:
    """Krippendorff's alpha (2011): 1 is full agreement, 0 what chance would give, with a bootstrap interval over items.

    ratings: one row a rater, one column an item, None where a rating is missing; ratings are numbers at all levels.
    `n` of the figure counts the items with two ratings or more. Without any, or where all ratings are the same, alpha
    has no value. Resamples in which all ratings are the same are left out of the interval.
    """
    columns = [[value for value in column if value is not None] for column in zip(*ratings, strict=True)]
    columns = [column for column in columns if len(column) > 1]
    values = np.unique([value for column in columns for value in column])
    if len(values) < 2:
        return Figure(n=len(columns))
    tables = np.zeros((len(columns), len(values), len(values)))
    for number, column in enumerate(columns):
        counts = np.bincount(np.searchsorted(values, column), minlength=len(values)).astype(float)
        tables[number] = (np.outer(counts, counts) - np.diag(counts)) / (len(column) - 1)
    flat = tables.reshape(len(columns), -1)
    value = _alpha(flat.sum(axis=0).reshape(1, len(values), len(values)), values, level)[0]
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    step = max(1, 1_000_000 // max(len(columns), flat.shape[1]))
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        times = rng.multinomial(len(columns), np.full(len(columns), 1 / len(columns)), size=size)
        found = _alpha((times @ flat).reshape(size, len(values), len(values)), values, level)
        drawn += found[np.isfinite(found)].tolist()
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    return Figure(n=len(columns), value=float(value), low=low, high=high)


def _alpha(tables: NDArray[np.float64], values: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    """Alpha of each table of coincidences (tables × values × values); nan where all ratings are the same."""
    totals = tables.sum(axis=2)
    count = totals.sum(axis=1)
    apart = _apart(totals, values, level)
    seen = (tables * apart).sum(axis=(1, 2))
    by_chance = (totals[:, :, None] * totals[:, None, :] * apart).sum(axis=(1, 2)) / (count - 1)
    return 1 - np.divide(seen, by_chance, out=np.full(len(tables), np.nan), where=by_chance > 0)


def _apart(totals: NDArray[np.float64], values: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    """How far two values are apart, squared: by whether they differ, by how many ratings lie between, or by number."""
    if level == "nominal":
        return 1 - np.eye(len(values))[None]
    if level == "interval":
        return ((values[:, None] - values[None, :]) ** 2)[None]
    below = totals.cumsum(axis=1) - totals / 2
    return (below[:, :, None] - below[:, None, :]) ** 2

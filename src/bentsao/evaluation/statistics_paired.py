"""Two systems on the same items: is the difference more than chance, and how many items would show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bentsao.core.records import Record
from bentsao.evaluation.statistics import RESAMPLES

LEVEL, POWER = 0.05, 0.8
EXACT_GROUPS = 13
"""Up to so many groups all 2^n sign flips are counted; they are fewer than RESAMPLES."""


class McNemar(Record):
    """Items right in both, in the first only, in the second only, in neither; `p` two-sided and exact."""

    both: int
    first: int
    second: int
    neither: int
    p: float


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """McNemar's test (1947) by the binomial: of the items where the two differ, each is as likely to favour either.

    For items that stand alone; where several belong to one group, `difference` is the test.
    """
    pairs = [(bool(a), bool(b)) for a, b in zip(first, second, strict=True)]
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    differing = only_first + only_second
    tail = sum(math.comb(differing, k) for k in range(min(only_first, only_second) + 1))
    return McNemar(
        both=pairs.count((True, True)),
        first=only_first,
        second=only_second,
        neither=pairs.count((False, False)),
        p=min(1.0, 2 * tail / 2**differing),
    )


class Difference(Record):
    """first − second on the same `n` items in `groups` groups, with the 95 % interval; None where n is 0.

    There is no interval of one group. `p`: two-sided. `deviation`: of the items' differences; `design`: how many times
    as many items the groups make necessary (1: none; see `clustered`).
    """

    n: int
    groups: int = 0
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    deviation: float | None = None
    design: float | None = None


def difference(
    first: Sequence[float], second: Sequence[float], groups: Sequence[str] | None = None, *, seed: int = 0
) -> Difference:
    """The mean difference of paired scores: `ratio_difference` where each item weighs the same."""
    return ratio_difference((first, [1.0] * len(first)), (second, [1.0] * len(second)), groups, seed=seed)


Parts = tuple[Sequence[float], Sequence[float]]
"""What stands above and below the line, by item."""


def ratio_difference(first: Parts, second: Parts, groups: Sequence[str] | None = None, *, seed: int = 0) -> Difference:
    """Σ above / Σ below of one system minus that of another, on the same items.

    The interval is the percentile bootstrap's: groups are drawn with replacement, 10,000 times. p is by exchange
    (Fisher 1935): were the two systems alike, each group's scores might as well be the other's. It stays honest with
    few groups, where the bootstrap is too sure. groups None: each item stands alone. value None where a system has
    nothing below the line.
    """
    above, below = (np.asarray([first[part], second[part]], float) for part in (0, 1))
    count = above.shape[1]
    if not count or not below.sum(axis=1).all():
        return Difference(n=count)
    names = {name: place for place, name in enumerate(dict.fromkeys(groups or map(str, range(count))))}
    places = [names[name] for name in groups] if groups else list(range(count))
    tops, bottoms = (
        np.stack([np.bincount(places, row, len(names)).astype(float) for row in part]) for part in (above, below)
    )
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    step = max(1, 1_000_000 // len(names))
    for start in range(0, RESAMPLES, step):
        picks = rng.integers(0, len(names), size=(min(step, RESAMPLES - start), len(names)))
        weights = [_sum(row, picks) for row in bottoms]
        known = (weights[0] > 0) & (weights[1] > 0)
        shares = [_sum(row, picks)[known] / weight[known] for row, weight in zip(tops, weights, strict=True)]
        drawn += (shares[0] - shares[1]).tolist()
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist() if len(names) > 1 else (None, None)
    values = above.sum(axis=1) / below.sum(axis=1)
    # What each item adds to the difference, by the delta method; for means, its own difference.
    pulls = (above - values[:, None] * below) / below.mean(axis=1)[:, None]
    gaps = pulls[0] - pulls[1]
    return Difference(
        n=count,
        groups=len(names),
        value=float(values[0] - values[1]),
        low=low,
        high=high,
        p=_exchanged(tops, bottoms, rng),
        deviation=float(gaps.std(ddof=1)) if count > 1 else None,
        design=clustered(gaps.tolist(), groups).design,
    )


def _sum(row: NDArray[np.float64], picks: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of what was drawn from a row, by draw."""
    if np.ptp(row):
        return row[picks].sum(axis=1)
    return np.full(len(picks), row[0] * picks.shape[1])  # most rows below the line are 1 throughout


def _exchanged(tops: NDArray[np.float64], bottoms: NDArray[np.float64], rng: np.random.Generator) -> float:
    """The share of exchanges of the two systems' groups whose difference is as far from 0 as the one that was seen.

    One that leaves a system nothing below the line has no difference; it is counted, so that p is not too small.
    """
    count = tops.shape[1]

    def gaps(signs: NDArray[np.int64]) -> NDArray[np.float64]:
        turned, weight = signs @ (tops[0] - tops[1]), signs @ (bottoms[0] - bottoms[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(
                (tops.sum() + turned) / (bottoms.sum() + weight) - (tops.sum() - turned) / (bottoms.sum() - weight)
            )

    seen = float(gaps(np.ones((1, count), int))[0])
    seen -= 1e-11 * max(1.0, float(np.abs(tops).sum() / bottoms.sum()))
    if count <= EXACT_GROUPS:
        return 1 - float(np.mean(gaps(1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)) < seen))
    far, step = 0, max(1, 1_000_000 // count)
    for start in range(0, RESAMPLES, step):
        far += int(np.sum(~(gaps(rng.integers(0, 2, size=(min(step, RESAMPLES - start), count)) * 2 - 1) < seen)))
    return (far + 1) / (RESAMPLES + 1)


class Clustered(Record):
    """A mean with its standard error when the items of a group hang together; None where it cannot be said.

    `design`: (error / error without groups)²: so many times as many items would be needed as if each stood alone.
    """

    n: int
    groups: int
    value: float | None = None
    error: float | None = None
    design: float | None = None


def clustered(values: Sequence[float], groups: Sequence[str] | None = None) -> Clustered:
    """The cluster-robust standard error of a mean (Liang and Zeger 1986), with the G/(G−1) correction.

    With one item a group it is the ordinary s/√n. groups None: each item stands alone.
    """
    found = np.asarray(values, float)
    if not len(found):
        return Clustered(n=0, groups=0)
    names = {name: place for place, name in enumerate(dict.fromkeys(groups or map(str, range(len(found)))))}
    value = float(found.mean())
    if len(names) < 2:
        return Clustered(n=len(found), groups=len(names), value=value)
    places = [names[name] for name in groups] if groups else list(range(len(found)))
    sums = np.bincount(places, weights=found - value, minlength=len(names))
    error = math.sqrt(len(names) / (len(names) - 1) * float(sums @ sums)) / len(found)
    alone = float(found.std(ddof=1)) / math.sqrt(len(found))
    return Clustered(
        n=len(found), groups=len(names), value=value, error=error, design=(error / alone) ** 2 if alone else None
    )


def holm(found: Sequence[float | None]) -> list[float | None]:
    """p values corrected for how many they are (Holm 1979), in their order; None is none, and stays.

    Below 0.05, the error of all together is below 0.05.
    """
    out: list[float | None] = [None] * len(found)
    known = sorted((p, place) for place, p in enumerate(found) if p is not None)
    highest = 0.0
    for before, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - before) * p))
        out[place] = highest
    return out


def items_needed(gap: float, deviation: float, *, design: float = 1.0) -> int | None:
    """How many paired items show a mean difference of `gap` at LEVEL with POWER; None for a gap of 0.

    deviation: of the items' differences. design: how much more the groups make necessary (`Clustered.design`). Never
    fewer than the signs of that many differences need to be told from chance (6 at 0.05).
    """
    if not gap:
        return None
    fewest = 1 + math.ceil(math.log2(1 / LEVEL))
    return max(fewest, math.ceil(design * ((_z(1 - LEVEL / 2) + _z(POWER)) * deviation / gap) ** 2))


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)

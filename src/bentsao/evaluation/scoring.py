"""Verdicts → figures: each with how many items it counts, how many could not be scored, and its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bentsao.evaluation.statistics import Figure, ratio, share
from bentsao.evaluation.tasks.task import Measure, Verdict

COVERAGE = 0.8
"""The least share of items that must be scored for a figure to be given, unless the user says otherwise."""


class Measured(Figure):
    """A figure with what stands behind it.

    unscored: items that it applies to and that could not be scored. withheld: too many of them, so it has no value.
    """

    unscored: int = 0
    withheld: bool = False


def measured(
    measures: Mapping[str, Measure], verdicts: Sequence[Verdict], *, coverage: float = COVERAGE, seed: int = 0
) -> dict[str, Measured]:
    """The figures of some verdicts; those that apply to no item are left out.

    coverage: the least share of items scored, below which no value is given.
    """
    found: dict[str, Measured] = {}
    for name, measure in measures.items():
        concerned = [one for one in verdicts if measure.applies(one)]
        if measure.whole is not None:
            concerned = [one for one in verdicts if not one.unscored]
            value = measure.whole([one.answer for one in concerned])
            if value is not None:
                found[name] = Measured(n=len(concerned), value=value)
            continue
        if not concerned:
            continue
        scored = [one for one in concerned if one.scores.get(measure.above) is not None]
        unscored = len(concerned) - len(scored)
        if len(scored) < coverage * len(concerned) or not scored:
            found[name] = Measured(n=len(scored), unscored=unscored, withheld=True)
            continue
        figure = _figure(measure, scored, seed)
        found[name] = Measured(**figure.model_dump(), unscored=unscored)
    return found


def _figure(measure: Measure, scored: Sequence[Verdict], seed: int) -> Figure:
    groups = [one.group for one in scored]
    above = [one.scores[measure.above] or 0.0 for one in scored]
    if not measure.below:
        if all(value in (0.0, 1.0) for value in above):
            return share([value == 1.0 for value in above], groups, seed=seed)
        return ratio(above, [1.0] * len(above), groups, seed=seed)
    figure = ratio(above, [one.scores.get(measure.below) or 0.0 for one in scored], groups, seed=seed)
    if not measure.exp:
        return figure
    value, low, high = (one if one is None else math.exp(one) for one in (figure.value, figure.low, figure.high))
    return Figure(n=figure.n, value=value, low=low, high=high)

"""Systems against one another on the same items of a task: differences, tests, and a correction for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from bentsao.core.records import Record
from bentsao.evaluation.scoring import COVERAGE
from bentsao.evaluation.statistics_paired import (
    LEVEL,
    Difference,
    Parts,
    holm,
    items_needed,
    mcnemar,
    ratio_difference,
)
from bentsao.evaluation.tasks.task import Measure, Task, Verdict

FEWEST = 6
"""Parts of fewer groups are not compared: no result could be more than chance, and the others would pay for asking."""


class Gap(Record):
    """How much higher `first` is than `second` in a measure, on the items that both have a score for.

    tag, part: the items it is limited to; "" for all. p: McNemar's for yes and no where each item stands alone, else by
    exchange. p_corrected: by Holm, over all such gaps of the report. needed: how many items would show a difference of
    this size with a power of 0.8; None where it is shown, or is 0.
    """

    task: str
    measure: str
    first: str
    second: str
    tag: str = ""
    part: str = ""
    difference: Difference
    p: float | None = None
    p_corrected: float | None = None
    needed: int | None = None

    @property
    def shown(self) -> bool:
        """Whether it is more than chance, all such gaps taken together."""
        return self.p_corrected is not None and self.p_corrected < LEVEL


def gaps(task: Task[Any], verdicts: Mapping[str, Sequence[Verdict]], *, coverage: float = COVERAGE) -> list[Gap]:
    """Every two systems, the later minus the earlier, in the task's headline; in its first measure by parts too.

    Parts of fewer than FEWEST groups are left out. verdicts: by system. Items that either system has learnt are left
    out. coverage: the least share of the other items that both must have a score for; below it there is no gap, as
    there is no figure.
    """
    found: list[Gap] = []
    for second, first in combinations(verdicts, 2):
        theirs = {one.id: one for one in verdicts[second] if not one.contaminated}
        pairs = [(one, theirs[one.id]) for one in verdicts[first] if not one.contaminated and one.id in theirs]
        blank = {"task": task.name, "first": first, "second": second}
        for place, name in enumerate(task.headline):
            measure = task.measures[name]
            found.append(Gap(**blank, measure=name, **_tested(pairs, measure, coverage)))
            for tag in task.splits if place == 0 else ():
                parts = sorted({one.tags[tag] for one, _ in pairs if tag in one.tags})
                for part in parts if len(parts) > 1 else ():
                    own = [pair for pair in pairs if pair[0].tags.get(tag) == part]
                    if len({one.group for one, _ in own}) < FEWEST:
                        continue
                    found.append(Gap(**blank, measure=name, tag=tag, part=part, **_tested(own, measure, coverage)))
    return [one for one in found if one.difference.value is not None]


def corrected(found: Sequence[Gap]) -> list[Gap]:
    """With p corrected: over all gaps that take in all items, and over all that take in parts."""
    out = dict(enumerate(found))
    for parts in (False, True):
        own = [(place, one) for place, one in out.items() if bool(one.part) == parts and one.p is not None]
        for (place, gap), p in zip(own, holm([one.p for _, one in own]), strict=True):
            one = gap.model_copy(update={"p_corrected": p})
            out[place] = one if one.shown else one.model_copy(update={"needed": _needed(one.difference)})
    return list(out.values())


def _tested(pairs: Sequence[tuple[Verdict, Verdict]], measure: Measure, coverage: float) -> dict[str, Any]:
    """The fields of a Gap that come of its items."""
    known = [pair for pair in pairs if all(one.scores.get(measure.above) is not None for one in pair)]
    if len(known) < coverage * sum(all(measure.applies(one) for one in pair) for pair in pairs):
        known = []
    first, second = (_parts([pair[place] for pair in known], measure) for place in (0, 1))
    groups = [one.group for one, _ in known]
    found = ratio_difference(first, second, groups)
    p = found.p
    plain = not measure.below and {*first[0], *second[0]} <= {0.0, 1.0}
    if plain and len(set(groups)) == len(groups):
        p = mcnemar([value == 1 for value in first[0]], [value == 1 for value in second[0]]).p
    return {"difference": found, "p": p}


def _parts(verdicts: Sequence[Verdict], measure: Measure) -> Parts:
    above = [one.scores[measure.above] or 0.0 for one in verdicts]
    return above, [(one.scores.get(measure.below) or 0.0) if measure.below else 1.0 for one in verdicts]


def _needed(found: Difference) -> int | None:
    if not found.value or not found.deviation:
        return None
    return items_needed(found.value, found.deviation, design=max(1.0, found.design or 1.0))

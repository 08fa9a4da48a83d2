"""Scores → figures: means with intervals, coverage, and paired differences, also by class of question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bentsao.core.records import Record
from bentsao.evaluation.answers import Answers
from bentsao.evaluation.judging.rubric import POINTS, Rubric
from bentsao.evaluation.judging.scoring import Judged
from bentsao.evaluation.statistics import Figure, mean, share
from bentsao.evaluation.statistics_paired import Difference, difference, holm, items_needed

COVERAGE = 0.9
"""Below this share of scored answers no score is printed: what is missing is seldom missing by chance."""


class SystemScores(Record):
    """A system's scores. coverage: share of its answers that were scored; measures: empty below the least coverage.

    silent: answers that say nothing, scored as the worst. unscored: by reason. above: share of cases above the rubric's
    threshold. classes: the same measures by class of question.
    """

    system: str
    items: int
    scored: int
    silent: int
    coverage: float
    unscored: dict[str, int]
    measures: dict[str, Figure]
    above: Figure | None = None
    classes: dict[str, dict[str, Figure]]


class Contrast(Record):
    """Two systems on the items that both were scored on. p_corrected: after Holm, over all contrasts of the report.

    needed: how many items a difference of this size takes (80 % power); None for none. kind: the class of question
    that it is about; '' for all.
    """

    first: str
    second: str
    measure: str
    kind: str
    difference: Difference
    p_corrected: float | None
    needed: int | None


def score_figures(
    judged: Sequence[Judged], found: Answers, rubric: Rubric, *, least: float = COVERAGE, seed: int = 0
) -> tuple[list[SystemScores], list[Contrast]]:
    """Each system's scores, and every two systems' differences on the same items."""
    table = _Table(
        {system.name: {one.id: one for one in judged if one.system == system.name} for system in found.systems},
        {item.id: item.group for item in found.items},
        {item.id: item.kind for item in found.items},
        rubric,
        least,
        seed,
    )
    scores = [table.system(system.name) for system in found.systems]
    contrasts = [
        made
        for one, other in combinations([one.system for one in scores if one.measures], 2)
        for measure in rubric.measures
        for kind in ("", *sorted(set(table.kinds.values()) - {""}))
        if (made := table.contrast(one, other, measure, kind))
    ]
    corrected = holm([one.difference.p for one in contrasts])
    return scores, [one.model_copy(update={"p_corrected": p}) for one, p in zip(contrasts, corrected, strict=True)]


@dataclass(frozen=True)
class _Table:
    """All judgements by system and item, with the items' groups and classes."""

    judged: dict[str, dict[str, Judged]]
    groups: dict[str, str]
    kinds: dict[str, str]
    rubric: Rubric
    least: float
    seed: int

    def system(self, name: str) -> SystemScores:
        """One system's scores."""
        judged = list(self.judged[name].values())
        scored = [one for one in judged if one.scores is not None]
        coverage = len(scored) / len(judged) if judged else 0.0
        shown = scored if coverage >= self.least else []
        above = None
        if self.rubric.threshold is not None and shown:
            right = [one.scores[POINTS] >= self.rubric.threshold for one in shown if one.scores]
            above = share(right, [self.groups[one.id] for one in shown], seed=self.seed)
        kinds = sorted({self.kinds[one.id] for one in shown} - {""})
        return SystemScores(
            system=name,
            items=len(judged),
            scored=len(scored),
            silent=sum(one.silent for one in judged),
            coverage=coverage,
            unscored=dict(Counter(one.unscored for one in judged if one.scores is None)),
            measures=self._means(shown) if shown else {},
            above=above,
            classes={kind: self._means([one for one in shown if self.kinds[one.id] == kind]) for kind in kinds},
        )

    def _means(self, some: Sequence[Judged]) -> dict[str, Figure]:
        groups = [self.groups[one.id] for one in some]
        return {
            measure: mean([one.scores[measure] for one in some if one.scores], groups, seed=self.seed)
            for measure in self.rubric.measures
        }

    def contrast(self, one: str, other: str, measure: str, kind: str) -> Contrast | None:
        """Two systems on the items of a class; None where no item was scored for both."""
        firsts, seconds, used = list[float](), list[float](), list[str]()
        for name, group in self.groups.items():
            first, second = self.judged[one][name].scores, self.judged[other][name].scores
            if first is not None and second is not None and kind in {"", self.kinds[name]}:
                firsts.append(first[measure])
                seconds.append(second[measure])
                used.append(group)
        if not used:
            return None
        gap = difference(firsts, seconds, used, seed=self.seed)
        return Contrast(
            first=one, second=other, measure=measure, kind=kind, difference=gap, p_corrected=None, needed=needed(gap)
        )


def needed(gap: Difference) -> int | None:
    """How many items would show a difference of this size and spread."""
    if gap.value is None or gap.deviation is None:
        return None
    return items_needed(gap.value, gap.deviation, design=max(1.0, gap.design or 1.0))

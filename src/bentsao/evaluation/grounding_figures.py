"""Scores of grounded answers, where no task was run, as the figures of the task `knowledge` and some more."""

from __future__ import annotations

from collections.abc import Sequence

from bentsao.evaluation.grounding import Score
from bentsao.evaluation.scoring import measured
from bentsao.evaluation.statistics import Figure
from bentsao.evaluation.tasks.knowledge import TASK, scores_of
from bentsao.evaluation.tasks.task import Measure, Verdict

MEASURES: dict[str, Measure] = {
    **TASK.measures,
    "precision_given_facts": Measure("给对事实时的准确率", "supported_given_facts", "claims_given_facts"),
    "recall_given_facts": Measure("给对事实时的召回率", "stated_given_facts", "values_given_facts"),
    "premise_both_right": Measure("真假前提都判对", "both"),
    "affirms_false_premise": Measure("附和错误前提", "affirmed_premise_false", better="low"),
}
"""What `figures` gives."""


def figures(scores: Sequence[Score]) -> dict[str, Figure]:
    """The scores together; n is 0 where one does not apply."""
    rows = [scores_of(one) for one in scores]
    pairs: dict[str, list[int]] = {}
    for place, one in enumerate(scores):
        if one.hit:
            rows[place] |= {f"{name}_given_facts": value for name, value in rows[place].items()}
        if one.pair and one.premise is not None:
            pairs.setdefault(one.pair, []).append(place)
    for pair in (places for places in pairs.values() if len(places) == 2):
        rows[pair[0]]["both"] = float(all(scores[place].premise for place in pair))
    found = [
        Verdict(id=one.id, group=one.group, question="", answer="", scores=row)
        for one, row in zip(scores, rows, strict=True)
    ]
    return {name: Figure(n=0) for name in MEASURES} | measured(MEASURES, found, coverage=0)

"""A report's figures as pictures: the headline of each task, and its first measure by parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bentsao.core.charts import Whisker, interval_chart
from bentsao.evaluation.running import Scores
from bentsao.evaluation.scoring import Measured
from bentsao.evaluation.tasks import TASKS
from bentsao.evaluation.tasks.task import Measure

MOST_PARTS = 25
"""With more parts than these a picture is not read any more; the table is there."""


def charts(task: str, scores: Sequence[Scores]) -> list[str]:
    """The pictures of a task as SVG texts. scores: the task's, by system."""
    measures = TASKS[task].measures
    chance = next((one.figures["chance"].value for one in scores if "chance" in one.figures), None)
    found: list[str] = []
    for kind, unit in (("share", "%"), ("number", "")):
        names = [name for name in TASKS[task].headline if measures[name].kind == kind]
        groups = [
            (measures[name].title, _row(measures[name], {s.system: s.figures.get(name) for s in scores}))
            for name in names
        ]
        if any(whiskers for _, whiskers in groups):
            mark = chance and 100 * chance if kind == "share" else None
            title = f"{TASKS[task].title}：主要指标与 95% 区间" + (f"（虚线：随机猜 {mark:.0f}%）" if mark else "")
            found.append(interval_chart(title, unit, [(name, own) for name, own in groups if own], mark))
    return found + _parts(task, scores, chance)


def _parts(task: str, scores: Sequence[Scores], chance: float | None) -> list[str]:
    first = TASKS[task].headline[0]
    measure = TASKS[task].measures[first]
    found: list[str] = []
    for tag in TASKS[task].splits:
        parts = dict.fromkeys(part for one in scores for part in one.parts.get(tag, {}))
        if not 2 <= len(parts) <= MOST_PARTS:
            continue
        groups = [
            (part, _row(measure, {one.system: one.parts.get(tag, {}).get(part, {}).get(first) for one in scores}))
            for part in parts
        ]
        groups = [(part, own) for part, own in groups if own]
        if len(groups) > 1:
            mark = chance and 100 * chance if measure.kind == "share" else None
            title = f"{TASKS[task].title}：{measure.title}，按{tag}"
            found.append(interval_chart(title, "%" if measure.kind == "share" else "", groups, mark))
    return found


def _row(measure: Measure, figures: Mapping[str, Measured | None]) -> list[Whisker]:
    """The systems' figures of one measure; those without a value or an interval are left out."""
    times = 100 if measure.kind == "share" else 1
    return [
        Whisker(system, times * one.value, times * one.low, times * one.high, place)
        for place, (system, one) in enumerate(figures.items())
        if one is not None and one.value is not None and one.low is not None and one.high is not None
    ]

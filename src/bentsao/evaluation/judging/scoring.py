"""Each answer by itself: by the aspects of a rubric in one call, or criterion by criterion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bentsao.core.records import Answer, Record
from bentsao.evaluation.answers import Answers, Item
from bentsao.evaluation.judging.asking import Met, criterion_request, prompt, score_request, scores_shape
from bentsao.evaluation.judging.rubric import POINTS, Criterion, Rubric
from bentsao.evaluation.judging.running import Outcome
from bentsao.evaluation.judging.style import ALIKE, Style, alike
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.jobs import Job
from bentsao.models.remote.reading import read

SILENT = "没有回答"


class Judged(Record):
    """What the judge made of one answer.

    scores: by measure; None where it is unscored, and `unscored` says why. reasons: the judge's, one a call.
    met: of each criterion, empty for aspects. silent: there was no answer, which is the worst score without a call.
    raw: all that the judge wrote, as it came. seen: the text that it saw.
    """

    system: str
    id: str
    scores: dict[str, float] | None
    unscored: str = ""
    reasons: tuple[str, ...] = ()
    met: tuple[bool, ...] = ()
    silent: bool = False
    raw: tuple[str, ...] = ()
    seen: str = ""


@dataclass(frozen=True)
class Scoring:
    """How answers are judged one by one. criteria: of a question by its id; reference: show the judge the known answer.

    Criteria of a question's own stand in place of the rubric's.
    """

    rubric: Rubric
    criteria: dict[str, tuple[Criterion, ...]]
    style: Style = ALIKE
    reference: bool = False

    def of(self, item: Item) -> tuple[Criterion, ...]:
        """The criteria for a question."""
        return self.criteria.get(item.id) or self.rubric.criteria


@dataclass(frozen=True)
class Case:
    """One answer with the calls that judge it; no calls for an answer that says nothing."""

    system: str
    item: Item
    text: str
    jobs: tuple[Job[Any], ...]


def cases(found: Answers, asking: Asking, scoring: Scoring) -> list[Case]:
    """All answers of all systems to the common questions."""
    return [
        _case(system.name, item, system.answers[item.id], asking, scoring)
        for item in found.items
        for system in found.systems
    ]


def said(answer: Answer, style: Style) -> str:
    """What an answer says in the common style; '' where there is none."""
    return "" if answer.finish == "error" else alike(answer.text, style)


def _case(system: str, item: Item, answer: Answer, asking: Asking, scoring: Scoring) -> Case:
    text = said(answer, scoring.style)
    if not text:
        return Case(system, item, "", ())
    name, again = f"{system}：{item.id}", prompt("again")
    if scoring.rubric.aspects:
        request = score_request(asking, scoring.rubric, item, text, reference=scoring.reference)
        shape = scores_shape(scoring.rubric)
        return Case(system, item, text, (Job(name, request, partial(read, shape=shape), again),))
    requests = [
        criterion_request(asking, criterion, item, text, reference=scoring.reference) for criterion in scoring.of(item)
    ]
    jobs = tuple(Job(name, request, partial(read, shape=Met), again) for request in requests)
    return Case(system, item, text, jobs)


def judged(case: Case, outcomes: Sequence[Outcome], scoring: Scoring) -> Judged:
    """A case with what became of its calls; it is scored only if all of them were."""
    raw = tuple(text for outcome in outcomes for text in outcome.raw)
    out = Judged(system=case.system, id=case.item.id, scores=None, raw=raw, seen=case.text)
    if not case.jobs:
        return out.model_copy(update={"scores": scoring.rubric.worst, "silent": True, "reasons": (SILENT,)})
    if missing := next((outcome.unscored for outcome in outcomes if outcome.value is None), ""):
        return out.model_copy(update={"unscored": missing})
    values = [outcome.value.model_dump() for outcome in outcomes if outcome.value is not None]
    reasons = tuple(str(value["reason"]) for value in values)
    if scoring.rubric.aspects:
        scores = {name: float(values[0][name]) for name in scoring.rubric.measures}
        return out.model_copy(update={"scores": scores, "reasons": reasons})
    met = tuple(bool(value["met"]) for value in values)
    criteria = scoring.of(case.item)
    got = sum(one.points for one, yes in zip(criteria, met, strict=True) if yes)
    possible = sum(max(0, one.points) for one in criteria)
    return out.model_copy(update={"scores": {POINTS: got / possible}, "reasons": reasons, "met": met})

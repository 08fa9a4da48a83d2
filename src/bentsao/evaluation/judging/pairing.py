"""Two answers against each other, asked in both orders: only a system that wins in both has won."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Literal

from bentsao.core.records import Record
from bentsao.evaluation.answers import Answers, Item
from bentsao.evaluation.judging.asking import Preference, pair_request, prompt
from bentsao.evaluation.judging.rubric import Rubric
from bentsao.evaluation.judging.running import Outcome
from bentsao.evaluation.judging.scoring import SILENT, said
from bentsao.evaluation.judging.style import ALIKE, Style
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.jobs import Job
from bentsao.models.remote.reading import read

Verdict = Literal["first", "second", "tie", "position"]


class Compared(Record):
    """What the judge made of two systems' answers to one question.

    verdict: which is better; "position": another one in each order, so that the place decided; None: unscored, and
    `unscored` says why. chosen: in each order, the place that was preferred (A, B or tie); none where no call was
    needed, for answers that are the same or missing.
    """

    first: str
    second: str
    id: str
    verdict: Verdict | None
    unscored: str = ""
    chosen: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Two answers with the two calls that compare them; without calls, `verdict` is known and `why` says how."""

    first: str
    second: str
    item: Item
    jobs: tuple[Job[Preference], ...]
    verdict: Verdict | None = None
    why: str = ""


def pairs(
    found: Answers, asking: Asking, rubric: Rubric, style: Style = ALIKE, *, reference: bool = False
) -> list[Pair]:
    """Every two systems on every common question."""
    texts = {
        (system.name, item.id): said(system.answers[item.id], style) for system in found.systems for item in found.items
    }
    again, out = prompt("again"), list[Pair]()
    for item in found.items:
        for one, other in combinations([system.name for system in found.systems], 2):
            first, second = texts[one, item.id], texts[other, item.id]
            if first == second:
                out.append(Pair(one, other, item, (), "tie", "两个回答相同"))
            elif not first or not second:
                out.append(Pair(one, other, item, (), "first" if first else "second", SILENT))
            else:
                requests = [
                    pair_request(asking, rubric, item, first, second, reference=reference),
                    pair_request(asking, rubric, item, second, first, reference=reference),
                ]
                jobs = [
                    Job(f"{one}、{other}：{item.id}", request, partial(read, shape=Preference), again)
                    for request in requests
                ]
                out.append(Pair(one, other, item, tuple(jobs)))
    return out


def compared(pair: Pair, outcomes: Sequence[Outcome]) -> Compared:
    """A pair with what became of its two calls."""
    raw = tuple(text for outcome in outcomes for text in outcome.raw)
    out = Compared(first=pair.first, second=pair.second, id=pair.item.id, verdict=pair.verdict, raw=raw)
    if not pair.jobs:
        return out.model_copy(update={"reasons": (pair.why,)})
    if missing := next((outcome.unscored for outcome in outcomes if outcome.value is None), ""):
        return out.model_copy(update={"unscored": missing})
    values = [outcome.value.model_dump() for outcome in outcomes if outcome.value is not None]
    chosen = tuple(str(value["better"]) for value in values)
    return out.model_copy(
        update={
            "verdict": _verdict(chosen[0], chosen[1]),
            "chosen": chosen,
            "reasons": tuple(str(value["reason"]) for value in values),
        }
    )


def _verdict(straight: str, swapped: str) -> Verdict:
    """straight, swapped: the place preferred with the first system's answer as A, and as B."""
    if straight == swapped and straight != "tie":
        return "position"
    if (straight, swapped) == ("A", "B"):
        return "first"
    return "second" if (straight, swapped) == ("B", "A") else "tie"

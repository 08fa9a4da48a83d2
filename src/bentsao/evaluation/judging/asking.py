"""The words a judge is given, and what it must reply."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from bentsao.core.records import Record
from bentsao.evaluation.answers import Item
from bentsao.evaluation.judging.rubric import Aspect, Criterion, Rubric
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.exchange import Request
from bentsao.models.remote.prompts import fenced, fill


class Met(Record):
    """The reply to one criterion."""

    reason: str
    met: bool


class Preference(Record):
    """The reply to a pair."""

    reason: str
    better: Literal["A", "B", "tie"]


def prompt(name: str) -> str:
    """A prompt by name: score, criterion, pair, again."""
    return (files("bentsao.evaluation.judging") / "prompts" / f"{name}.txt").read_text(encoding="utf-8")


def scores_shape(rubric: Rubric) -> type[Record]:
    """What the reply to a rubric with aspects must be: a reason, and a whole number for each aspect."""
    fields: dict[str, Any] = {"reason": (str, ...)}
    for one in rubric.aspects:
        fields[one.name] = (Annotated[int, Field(ge=one.low, le=one.high)], ...)
    return create_model("Scores", __base__=Record, **fields)


def score_request(asking: Asking, rubric: Rubric, item: Item, answer: str, *, reference: bool) -> Request:
    """All aspects of one answer in one call."""
    shape = ", ".join(['"reason": "……"', *(f'"{one.name}": {one.high}' for one in rubric.aspects)])
    values = {
        **_material(item, reference=reference),
        "answer": fenced(answer, "回答"),
        "aspects": _described(rubric.aspects, levels=True),
        "shape": "{" + shape + "}",
    }
    return asking.request(fill(prompt("score"), values), scores_shape(rubric))


def criterion_request(asking: Asking, criterion: Criterion, item: Item, answer: str, *, reference: bool) -> Request:
    """One criterion of one answer: a call of its own, so that one judgement does not colour the next."""
    values = {
        **_material(item, reference=reference),
        "answer": fenced(answer, "回答"),
        "criterion": criterion.text,
    }
    return asking.request(fill(prompt("criterion"), values), Met)


def pair_request(asking: Asking, rubric: Rubric, item: Item, first: str, second: str, *, reference: bool) -> Request:
    """Two answers in this order."""
    lines = _described(rubric.aspects, levels=False) or "\n".join(
        f"- {'应当' if one.points > 0 else '不应当'}：{one.text}" for one in rubric.criteria
    )
    values = {
        **_material(item, reference=reference),
        "first": fenced(first, "回答A"),
        "second": fenced(second, "回答B"),
        "aspects": lines,
    }
    return asking.request(fill(prompt("pair"), values), Preference)


def _material(item: Item, *, reference: bool) -> dict[str, str]:
    known = ""
    if reference and item.reference:
        known = f"\n参考答案（可能不完整，只作对照）：\n{fenced(item.reference, '参考')}\n"
    return {"question": fenced(item.question, "问题"), "reference": known}


def _described(aspects: Sequence[Aspect], *, levels: bool) -> str:
    parts: list[str] = []
    for one in aspects:
        name = f"{one.title}（{one.name}，{one.low} 到 {one.high} 分）" if levels else one.title
        parts.append(f"{name}：{one.asks}")
        if levels:
            parts += [f"  {one.low + place} 分：{text}" for place, text in enumerate(one.levels)]
    return "\n".join(parts)

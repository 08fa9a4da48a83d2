"""Reader of QASystemOnMedicalKG's `medical.json`: one disease a line, `{"name": …, "symptom": […], …}`.

Its descriptions are running text of several hundred characters: they become passages, which can be searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bentsao.knowledge.importers import cells, values
from bentsao.knowledge.importers.drafting import Draft
from bentsao.knowledge.importers.looking import Look
from bentsao.knowledge.importers.objects import read_objects, required_text, texts
from bentsao.knowledge.rows import EntityRow, PassageRow, Skipped

PRODUCT = "厂家的产品，不是通用名"

_PASSAGES = {"desc": "概述", "cause": "病因", "prevent": "预防"}
_IGNORED = frozenset({"_id", "name"})


def knows(look: Look) -> bool:
    """Objects with names and one of the fields."""
    return not look.table and look.has("name") and look.has_any(FIELDS)


def read(path: Path) -> Iterator[EntityRow | PassageRow | Skipped]:
    """One disease an object, and a passage for each of its texts. Raises DataError at the end with all bad rows."""
    yield from read_objects(path, _disease)


def _disease(row: dict[str, Any], number: int) -> Iterator[EntityRow | PassageRow | Skipped]:
    row = {key.strip().casefold(): value for key, value in row.items()}
    draft = Draft(required_text(row, "name"), "disease", number)
    for key, value in row.items():
        if key in FIELDS:
            FIELDS[key](draft, [text for text in texts(row, key) if text.strip()])
        elif key not in _PASSAGES and key not in _IGNORED:
            draft.leave_out(values.UNMAPPED + key[:20], value)
    for key, label in _PASSAGES.items():
        for text in texts(row, key):
            if len(text.strip()) >= 10 and not any(map(_unprintable, text)):
                title = f"{draft.name}：{label}"
                yield PassageRow(title, text.strip(), (draft.name,), row=number)
            else:
                draft.leave_out(values.why_not(values.tidy(text)) or values.BROKEN, text)
    yield from draft.rows()


def _unprintable(character: str) -> bool:
    return not character.isprintable() and not character.isspace()


def _each(attribute: str, qualifier: str | None = None) -> Callable[[Draft, list[str]], None]:
    return lambda draft, items: draft.facts(attribute, items, qualifier)


def _cell(take: Callable[[Draft, str], None]) -> Callable[[Draft, list[str]], None]:
    def each(draft: Draft, items: list[str]) -> None:
        for item in items:
            take(draft, item)

    return each


def _departments(draft: Draft, items: list[str]) -> None:
    """From the general to the special: `["内科", "呼吸内科"]`."""
    for parent in items[:-1]:
        draft.leave_out(cells.PARENT_DEPARTMENT, parent)
    draft.facts("所属科室", items[-1:])


def _products(draft: Draft, items: list[str]) -> None:
    """`惠普森穿心莲内酯片(穿心莲内酯片)`: maker and product, the generic name in brackets."""
    for item in items:
        generic = re.search(r"[(（]([^()（）]+)[)）]\s*$", item)
        if generic is None or not draft.fact("药物治疗", generic[1]):
            draft.leave_out(PRODUCT, item)


FIELDS: dict[str, Callable[[Draft, list[str]], None]] = {
    "symptom": _each("临床症状及体征"),
    "acompany": _each("并发症"),
    "check": _each("检查"),
    "cure_way": _each("治疗方案"),
    "common_drug": _each("药物治疗"),
    "recommand_drug": _each("药物治疗"),
    "drug_detail": _products,
    "cure_department": _departments,
    "do_eat": _each("饮食建议"),
    "recommand_eat": _each("饮食建议"),
    "not_eat": _each("饮食禁忌"),
    "easy_get": _cell(cells.people),
    "get_way": _cell(cells.infection),
    "get_prob": _cell(cells.prevalence),
    "cure_lasttime": _cell(cells.duration),
    "cured_prob": _cell(cells.cure_rate),
    "cost_money": _cell(cells.cost),
    "yibao_status": _cell(cells.insurance),
}
"""What each field becomes."""

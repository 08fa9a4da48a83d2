"""Reader of CMeKG's form: `{"中心词": "偏头痛", "类别": "疾病", "所属科室": ["神经内科"], …}`, an array or one a line.

Every other key is an attribute or a kind of alias; its value a string, a number, `{"值": …, "限定": …}` or a list of
these. The original's files have no 类别: the attributes tell the kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bentsao.core.rows import RowError
from bentsao.knowledge.importers import values
from bentsao.knowledge.importers.drafting import Draft
from bentsao.knowledge.importers.looking import Look
from bentsao.knowledge.importers.objects import read_objects, required_text
from bentsao.knowledge.rows import EntityRow, Skipped
from bentsao.knowledge.schema import KINDS, Kind, alias_type_of, attribute_of, kind_of

NAME, KIND, VALUE, QUALIFIER = "中心词", "类别", "值", "限定"

_TELLING: dict[Kind, tuple[str, ...]] = {
    "drug": ("成份", "成分", "OTC类型", "用法用量", "药物相互作用", "所属科目", "不良反应"),
    "operation": ("麻醉方式", "术前准备", "术后护理"),
    "examination": ("检查部位", "正常值"),
    "symptom": ("伴随症状", "危险信号"),
    "department": ("诊治疾病", "上级科室"),
}
"""Attributes by which the kind of an entity is known where the row does not say it; a disease has none of them."""


def knows(look: Look) -> bool:
    """Objects or columns with a central word, but no triples."""
    return look.has(NAME) and not look.table and not look.has("属性", "值")


def read(path: Path) -> Iterator[EntityRow | Skipped]:
    """One entity an object. Raises DataError at the end with all rows that are not of this form."""
    yield from read_objects(path, _entity)


def _entity(row: dict[str, Any], number: int) -> Iterator[EntityRow | Skipped]:
    kind = _kind(row)
    draft = Draft(required_text(row, NAME), kind, number)
    for key, value in row.items():
        if key in {NAME, KIND}:
            continue
        alias_type, attribute = alias_type_of(key), attribute_of(key, kind)
        for text, qualifier in _values(key, value):
            if alias_type is not None:
                draft.alias(text, alias_type)
            elif attribute is not None:
                draft.fact(attribute, text, qualifier)
            else:
                draft.leave_out(values.UNMAPPED + key[:20], text)
    yield from draft.rows()


def _kind(row: dict[str, Any]) -> Kind:
    named = row.get(KIND)
    if named is None:
        for kind, keys in _TELLING.items():
            if any(key in row for key in keys):
                return kind
        return "disease"
    kind = kind_of(named) if isinstance(named, str) else None
    if kind is None:
        raise RowError(KIND, named, f"应是 {'、'.join(KINDS.values())} 之一；不写则按属性判断。")
    return kind


def _values(key: str, value: Any) -> Iterator[tuple[str, str | None]]:
    """(text, qualifier) of each value."""
    for item in value if isinstance(value, list) else [value]:
        qualifier = None
        text = item
        if isinstance(item, dict):
            text, qualifier = item.get(VALUE), item.get(QUALIFIER)
            if set(item) - {VALUE, QUALIFIER} or not isinstance(qualifier, str | None):
                raise RowError(key, item, f'应是 {{"{VALUE}": …, "{QUALIFIER}": …}}，两者都是字符串。')
        if isinstance(text, bool) or not isinstance(text, str | int | float | None):
            raise RowError(key, item, "值应是字符串、数字，或它们的数组。")
        yield ("" if text is None else str(text)), qualifier

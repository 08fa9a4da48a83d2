"""Reader of CMeIE: textbook sentences with the triples marked in them, one sentence a line.

`{"text": …, "spo_list": [{"subject", "subject_type", "predicate", "object": {"@value"}, "object_type": {"@value"}}]}`
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
from bentsao.knowledge.schema import KINDS, Kind, attribute_of, kind_of

SYNONYM = "同义词"
NOT_A_NAME = "指代词，不是名称"

_PRONOUNS = frozenset({"本病", "该病", "此病", "本症", "本综合征", "其", "患者", "患儿"})

MAPPED: dict[str, tuple[str, str | None]] = {
    "治疗后症状": ("相关症状", "治疗后"),
    "侵及周围组织转移的症状": ("临床症状及体征", "侵及周围组织"),
    "相关（导致）": ("相关疾病", "可导致"),
    "相关（转化）": ("相关疾病", "可转化"),
    "外侵部位": ("转移部位", "外侵"),
    "病史": ("高危因素", "病史"),
    "遗传因素": ("病因", "遗传"),
    "化疗": ("辅助治疗", "化疗"),
    "放射治疗": ("辅助治疗", "放射治疗"),
    "筛查": ("检查", "筛查"),
    "阶段": ("病理分型", "分期"),
}
"""Predicates that say more than the attribute they become: attribute and qualifier."""


def knows(look: Look) -> bool:
    """Objects with a list of triples."""
    return look.has("spo_list")


def read(path: Path) -> Iterator[EntityRow | Skipped]:
    """One entity for each subject of a line. Raises DataError at the end with all lines that are not of this form."""
    yield from read_objects(path, _line)


def _line(row: dict[str, Any], number: int) -> Iterator[EntityRow | Skipped]:
    triples = [_triple(item) for item in _list(row)]
    # Where the sentence itself says what an abbreviation stands for, what it says of both is said of one entity.
    heads = {said: subject for subject, _, predicate, said in triples if predicate == SYNONYM and said != subject}
    drafts: dict[tuple[str, Kind], Draft] = {}
    for subject, kind, predicate, said in triples:
        name = subject if predicate == SYNONYM else heads.get(subject, subject)
        draft = drafts.setdefault((name, kind), Draft(name, kind, number))
        if predicate == SYNONYM:
            draft.alias(said)
            continue
        attribute, qualifier = MAPPED.get(predicate, (attribute_of(predicate, kind), None))
        if attribute is None:
            draft.leave_out(values.UNMAPPED + predicate[:20], said)
        else:
            draft.fact(attribute, said, qualifier)
    for draft in drafts.values():
        if draft.name in _PRONOUNS:
            yield Skipped(NOT_A_NAME, draft.name, number)
        else:
            yield from draft.rows()


def _list(row: dict[str, Any]) -> list[Any]:
    triples = row.get("spo_list")
    if not isinstance(triples, list):
        raise RowError("spo_list", triples, "应是三元组的数组。")
    return triples


def _triple(item: Any) -> tuple[str, Kind, str, str]:
    """(subject, its kind, predicate, object)."""
    if not isinstance(item, dict):
        raise RowError("spo_list", item, "每一项应是一个 JSON 对象。")
    said = item.get("object")
    kind = kind_of(required_text(item, "subject_type"))
    if kind is None:
        raise RowError("subject_type", item["subject_type"], f"应是 {'、'.join(KINDS.values())} 等实体类型。")
    if isinstance(said, dict):
        said = said.get("@value")
    if not isinstance(said, str):
        raise RowError("object", item.get("object"), '应是字符串或 {"@value": 字符串}。')
    return required_text(item, "subject"), kind, required_text(item, "predicate"), said

"""What people confuse with a subject: those that doctors tell it apart from, and those that have much in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bentsao.construction.subjects import Material, Subject, values_of
from bentsao.knowledge.schema import Kind

_COMMON: Mapping[Kind, tuple[str, int]] = {
    "disease": ("临床症状及体征", 2),
    "symptom": ("相关疾病", 2),
    "drug": ("适应症", 1),
    "examination": ("相关疾病", 1),
    "operation": ("适应症", 1),
}
"""By kind: the attribute, and how many of its values two subjects must share to be worth a comparison."""

_MOST = 40
"""A value that more subjects have (发热) makes none of them alike."""

UNCOMPARED = frozenset(
    {"ICD-10", "治愈率", "治疗费用", "治疗周期", "是否医保", "OTC类型", "所属科室", "所属科目", "上级科室", "诊治疾病",
     "鉴别诊断", "相关疾病", "发病率", "死亡率", "预后生存率", "预后生存时间", "儿童用药", "老年用药", "孕妇用药"}
)  # fmt: skip
"""Attributes in which nobody compares two diseases or drugs, or which cannot be compared in a sentence."""


def rivals(subject: Subject, material: Material) -> list[Subject]:
    """The subjects of the material that somebody might confuse with this one, in their order; none of itself."""
    found: dict[str, Subject] = {}
    for value in values_of(subject.facts.get("鉴别诊断", ())):
        if other := material.named.get(value):
            found[other.name] = other
    for name in (subject.name, *(alias.text for alias in subject.entity.aliases)):
        for other in material.having("鉴别诊断", name):
            found[other.name] = other
    if common := _COMMON.get(subject.kind):
        attribute, needed = common
        shared: Counter[str] = Counter()
        for value in values_of(subject.facts.get(attribute, ())):
            alike = material.having(attribute, value)
            if len(alike) <= _MOST:
                for other in alike:
                    shared[other.name] += 1
                    found.setdefault(other.name, other)
        found = {
            name: other
            for name, other in found.items()
            if _told_apart(subject, other) or (shared[name] >= needed and _in_one_department(subject, other))
        }
    return [other for other in found.values() if other.kind == subject.kind and other.name != subject.name]


def _in_one_department(one: Subject, other: Subject) -> bool:
    """Whether the same doctors see both; those that no department is told of count as together."""
    mine, theirs = (set(values_of(subject.facts.get("所属科室", ()))) for subject in (one, other))
    return not mine or not theirs or bool(mine & theirs)


def _told_apart(one: Subject, other: Subject) -> bool:
    def names(subject: Subject) -> set[str]:
        return {subject.name, *(alias.text for alias in subject.entity.aliases)}

    def against(subject: Subject) -> set[str]:
        return set(values_of(subject.facts.get("鉴别诊断", ())))

    return bool(against(one) & names(other) or against(other) & names(one))

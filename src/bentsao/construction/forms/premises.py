"""True and false premises: the same question about a value that a fact has, and about one that no fact has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import filled, pattern_id
from bentsao.construction.phrasing import answering, cited, tidy, worded
from bentsao.construction.subjects import Subject, values_of
from bentsao.core.grounding import mark
from bentsao.core.records import Fact
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import ATTRIBUTES

_TRIES = 40
_COMMON_AT_LEAST = 6
_COMMON_SHARE = 0.01
_NEARLY = 1.1
_GENERAL = re.compile(
    "对症|支持治疗|原发病|病因治疗|综合治疗|休息|均衡饮食|清淡饮食|避免劳累|增强体质|药物治疗|手术治疗|免疫力|^感染$"
)
"""What is said of nearly every disease, whether or not its facts say it."""
_DAYS = {"天": 1.0, "日": 1.0, "周": 7.0, "星期": 7.0, "月": 30.0, "年": 365.0}
_FIGURES = frozenset({"治愈率", "治疗周期", "死亡率", "发病率", "预后生存率"})
_OF_DRUGS = frozenset({"适应症", "不良反应", "禁忌证"})
_NOT_ONE_THING = re.compile("[未不无禁忌同]|本品|本药|以下|病例|偶有|可能|尚|的")
"""What makes of a value more than the name of a thing, so that the patterns about it do not read."""
_RELATED: dict[str, tuple[str, ...]] = {
    "临床症状及体征": ("相关症状", "并发症"),
    "并发症": ("临床症状及体征", "相关疾病"),
    "相关疾病": ("并发症", "鉴别诊断"),
    "病因": ("高危因素", "发病机制"),
    "高危因素": ("病因", "多发群体"),
    "药物治疗": ("治疗方案", "辅助治疗"),
    "治疗方案": ("药物治疗", "手术治疗", "辅助治疗"),
    "检查": ("实验室检查", "影像学检查", "组织学检查"),
    "实验室检查": ("检查",),
    "影像学检查": ("检查",),
    "禁忌证": ("注意事项", "孕妇用药", "儿童用药", "老年用药", "不良反应"),
    "不良反应": ("注意事项",),
}
"""Where a value may stand as well: what stands there is not asserted falsely."""


def premise(subject: Subject, attribute: str, pen: Pen, *, true: bool) -> Exchange | None:
    """A question that asks after, or asserts, one value; None where there is no value to ask after."""
    pair = premises(subject, attribute, pen)
    return pair[0 if true else 1] if pair else None


def premises(subject: Subject, attribute: str, pen: Pen) -> tuple[Exchange, Exchange] | None:
    """The pair in one pattern: (true, false), as CALLA's tests pair them (arXiv 2309.04198)."""
    patterns = pen.patterns(subject, attribute)
    asked = pen.fitting((*patterns.yes_no, *patterns.claim), subject)
    facts = subject.facts[attribute]
    held = [(place, value) for place, fact in enumerate(facts) for value in fact.values if is_askable(value, attribute)]
    if not asked or not patterns.yes or not patterns.no or not held:
        return None
    false = false_value(subject, attribute, pen)
    if false is None:
        return None
    pattern = pen.rng.choice(asked)
    place, true = pen.rng.choice(held)
    name = pen.name(subject)
    short = pen.rng.choice(patterns.short)
    claimed = pattern in patterns.claim

    def exchange(value: str, form: str, answer: str, evidence: Sequence[Fact]) -> Exchange:
        return Exchange(
            form=form,
            question=filled(pattern, e=name, v=value, short=short),
            names=(name,),
            attributes=(attribute,),
            facts=tuple(evidence),
            answer=tidy(answer),
            subjects=(subject.name,),
            patterns=(pattern_id(pattern),),
            value=value,
            difficulty="hard" if form == "premise_false" or claimed else "medium",
        )

    yes = filled(
        pen.rng.choice(patterns.yes),
        e=name,
        v=true,
        values=worded(facts[place]),
        cite=mark(place + 1),
        short=short,
    )
    if (qualifier := facts[place].qualifier) and "{values}" not in yes:
        yes += f"资料里说的是{qualifier}的情况{mark(place + 1)}。"
    values, cite = cited(facts)
    no = filled(answering(patterns.no, cite, pen.rng), e=name, v=false, values=values, cite=cite, short=short)
    return exchange(true, "premise_true", yes, facts), exchange(false, "premise_false", no, facts)


def false_value(subject: Subject, attribute: str, pen: Pen) -> str | None:
    """A value that other subjects of the kind have and this one's facts do not speak of; None where none is found.

    What holds of half the world (注意休息, 血常规) is not asserted falsely: it may well be true.
    """
    key = (subject.kind, attribute)
    pool = pen.material.pools.get(key, [])
    names = (attribute, *_RELATED.get(attribute, ()))
    near = {value for name in names for value in values_of(subject.facts.get(name, ()))}
    many = ATTRIBUTES[attribute].many
    alike = _alike if many else _same
    counts = pen.material.commonness[key] if pool else Counter[str]()
    common = max(_COMMON_AT_LEAST, _COMMON_SHARE * len(pool))
    for _ in range(_TRIES if pool else 0):
        other, value = pen.rng.choice(pool)
        if other is subject or not is_askable(value, attribute):
            continue
        if many and (counts[value] > common or _GENERAL.search(value) or _names_back(value, subject, pen)):
            continue
        if not any(alike(value, own) for own in (*near, *subject.names)):
            return value
    return None


def _names_back(value: str, subject: Subject, pen: Pen) -> bool:
    """Whether what the value names says something of the subject: a drug that is for it, a disease it belongs to."""
    whole = pen.material.whole or pen.material
    named = whole.named.get(value)
    if named is None:
        return False
    said = [text for facts in named.facts.values() for text in values_of(facts)]
    return any(name in text for name in subject.names for text in said)


def _alike(left: str, right: str) -> bool:
    """Whether two values may say the same: one within the other, or half of their characters shared."""
    left, right = normalise(left).text, normalise(right).text
    if left in right or right in left:
        return True
    shared = len(set(left) & set(right))
    return shared * 2 >= min(len(set(left)), len(set(right)))


def _same(left: str, right: str) -> bool:
    """Whether two values of an attribute that has one value (有传染性, 7天) may be the same: equal, or figures meet."""
    mine, theirs = _figures(left), _figures(right)
    if mine and theirs:
        return min(mine) <= max(theirs) * _NEARLY and min(theirs) <= max(mine) * _NEARLY
    return normalise(left).text == normalise(right).text


def _figures(text: str) -> list[float]:
    """The figures of a value, times in days; a figure without a unit has that of the next (4至6周)."""
    found: list[float] = []
    unit = 1.0
    for figure, days in reversed(re.findall(r"(\d+(?:\.\d+)?)\s*个?(天|日|周|星期|月|年)?", normalise(text).text)):
        unit = _DAYS.get(days, unit)
        found.append(float(figure) * unit)
    return found


def is_askable(value: str, attribute: str) -> bool:
    """Whether a value can stand in a question about the attribute, as one thing that is so or is not."""
    if not 2 <= len(value) <= 16 or any(sign in value for sign in "，。；：？！、（("):
        return False
    if attribute in _FIGURES and attribute in value:
        return False
    if ATTRIBUTES[attribute].many and any(sign.isdigit() for sign in value):
        return False
    return attribute not in _OF_DRUGS or not (len(value) > 12 or _NOT_ONE_THING.search(value))

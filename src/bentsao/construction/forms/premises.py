"""True and false premises: the same question about a value that a fact has, and about one that no fact has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import filled, pattern_id
from bentsao.construction.phrasing import listed, marks, tidy
from bentsao.construction.subjects import Subject, values_of
from bentsao.core.grounding import mark
from bentsao.core.records import Fact
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import ATTRIBUTES

_TRIES = 40
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
    asked = (*patterns.yes_no, *patterns.claim)
    facts = subject.facts[attribute]
    held = [(place, value) for place, fact in enumerate(facts) for value in fact.values if is_askable(value)]
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
        values=listed(facts[place].values),
        cite=mark(place + 1),
        short=short,
    )
    if (qualifier := facts[place].qualifier) and "{values}" not in yes:
        yes += f"资料里说的是{qualifier}的情况{mark(place + 1)}。"
    no = filled(
        pen.rng.choice(patterns.no), e=name, v=false, values=listed(values_of(facts)), cite=marks(facts), short=short
    )
    return exchange(true, "premise_true", yes, facts), exchange(false, "premise_false", no, facts)


def false_value(subject: Subject, attribute: str, pen: Pen) -> str | None:
    """A value that other subjects of the kind have and this one's facts do not speak of; None where none is found."""
    pool = pen.material.pools.get((subject.kind, attribute), [])
    names = (attribute, *_RELATED.get(attribute, ()))
    near = {value for name in names for value in values_of(subject.facts.get(name, ()))}
    alike = _alike if ATTRIBUTES[attribute].many else _same
    for _ in range(_TRIES if pool else 0):
        other, value = pen.rng.choice(pool)
        if other is not subject and is_askable(value) and not any(alike(value, own) for own in (*near, *subject.names)):
            return value
    return None


def _alike(left: str, right: str) -> bool:
    """Whether two values may say the same: one within the other, or half of their characters shared."""
    left, right = normalise(left).text, normalise(right).text
    if left in right or right in left:
        return True
    shared = len(set(left) & set(right))
    return shared * 2 >= min(len(set(left)), len(set(right)))


def _same(left: str, right: str) -> bool:
    """Whether two values of an attribute that has one value (有传染性, 60%) may be the same: equal, or figures meet."""
    mine, theirs = ([float(figure) for figure in re.findall(r"\d+(?:\.\d+)?", text)] for text in (left, right))
    if mine and theirs:
        return min(mine) <= max(theirs) and min(theirs) <= max(mine)
    return normalise(left).text == normalise(right).text


def is_askable(value: str) -> bool:
    """Whether a value can stand in a question."""
    return 2 <= len(value) <= 16 and not any(sign in value for sign in "，。；：？！、（(")

"""What cannot be answered: an entity that no base has, an attribute that the base lacks, a question about nothing."""

from __future__ import annotations

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import filled, pattern_id
from bentsao.construction.subjects import Subject
from bentsao.core.grounding import Gap, abstention
from bentsao.knowledge.schema import Kind

_PLACES = (
    "耳后",
    "颈侧",
    "胫前",
    "舌根",
    "眶周",
    "腕部",
    "掌跖",
    "肩胛",
    "髂窝",
    "腹壁",
    "鼻窦",
    "眼睑",
    "足弓",
    "肝缘",
    "脾门",
    "肺尖",
    "肾盏",
    "胆管旁",
    "心包旁",
    "脊柱旁",
)
_NATURES = (
    "环状",
    "霜样",
    "网纹状",
    "游走性",
    "晶斑样",
    "冷凝性",
    "迟发",
    "季节性",
    "蜡滴样",
    "绒毛状",
    "片状",
    "夜间",
    "对称性",
    "珊瑚样",
    "雾状",
    "银屑样",
)
_DISEASES = (
    "角化症",
    "硬化病",
    "水疱病",
    "肿胀综合征",
    "萎缩症",
    "纤维病",
    "麻痹症",
    "出血症",
    "结晶病",
    "色沉症",
    "增生症",
    "痉挛综合征",
)
_SYLLABLES = (
    "替诺",
    "贝洛",
    "卡芬",
    "米唑",
    "泽拉",
    "奥碧",
    "瑞格",
    "依曲",
    "洛美",
    "匹维",
    "舒洛",
    "培比",
    "达罗",
    "菲尼",
    "索米",
    "维立",
)
_ENDINGS = (
    "必林片",
    "西平胶囊",
    "沙芬颗粒",
    "替尼片",
    "单抗注射液",
    "洛韦胶囊",
    "普利片",
    "多宁缓释片",
    "舒宁口服液",
    "康宁滴丸",
)


def missing(subject: Subject, attribute: str, pen: Pen) -> Exchange | None:
    """An attribute that the base does not have of this subject."""
    patterns = pen.patterns(subject, attribute)
    asked = (*patterns.lay, *patterns.clinician)
    if not asked or not patterns.missing or attribute in subject.facts:
        return None
    pattern = pen.rng.choice(asked)
    name = pen.name(subject)
    short = pen.rng.choice(patterns.short)
    return Exchange(
        form="missing",
        question=pen.greeted(filled(pattern, e=name, short=short)),
        names=(name,),
        attributes=(attribute,),
        facts=(),
        answer=filled(pen.rng.choice(patterns.missing), e=name, short=short),
        subjects=(subject.name,),
        patterns=(pattern_id(pattern),),
        difficulty="hard",
        gaps=(Gap(name, attribute),),
    )


def unknown(kind: Kind, attribute: str, pen: Pen) -> Exchange | None:
    """A name that sounds like a disease or a drug and is in no base."""
    own = pen.grammar.attributes.get((kind, attribute))
    asked = (*pen.grammar.unknown.get((kind, attribute), ()), *(own.lay if own else ()))
    name = invented(kind, pen)
    if not asked or name is None:
        return None
    pattern = pen.rng.choice(asked)
    gaps = (Gap(name),)
    return Exchange(
        form="unknown",
        question=pen.greeted(filled(pattern, e=name, short=own.short[0] if own else attribute)),
        names=(name,),
        attributes=(attribute,),
        facts=(),
        answer=abstention(gaps),
        subjects=(),
        patterns=(pattern_id(pattern),),
        difficulty="hard",
        gaps=gaps,
    )


def vague(pen: Pen) -> Exchange | None:
    """A question that names nothing that could be looked up."""
    words = pen.grammar.joint["vague"]
    asked = (*words["ask"], *words["greeting"])
    if not asked:
        return None
    question = pen.rng.choice(asked)
    return Exchange(
        form="vague",
        question=question,
        names=(),
        attributes=(),
        facts=(),
        answer=abstention(()),
        subjects=(),
        patterns=(pattern_id(question),),
        difficulty="medium",
    )


def invented(kind: Kind, pen: Pen) -> str | None:
    """A name that is in no base of ours; None where chance gave one that is."""
    choose = pen.rng.choice
    if kind == "drug":
        name = choose(_SYLLABLES) + choose(_ENDINGS)
    else:
        name = choose(_PLACES) + choose(_NATURES) + choose(_DISEASES)
    return None if name in (pen.material.whole or pen.material).named else name

"""What is said where no model speaks: the facts as they are, questions back, and what else could be asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bentsao.core import grounding
from bentsao.core.grounding import Gap
from bentsao.core.records import Evidence
from bentsao.inference.grounded.premises import Premise
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import ATTRIBUTES


def facts_only(evidence: Sequence[Evidence], *, disputed: bool = False) -> str:
    """The facts as they are, for when there is no sentence of a model that may stand.

    disputed: sources say different things, which is told.
    """
    lead = "资料中记载（各来源的说法不一）：" if disputed else "资料中记载："
    return f"{lead}{_lines(evidence)}。"


def leave_is_not_ours(premise: Premise | None) -> str:
    """Before the facts, where leave to take something was asked for and no fact gives or refuses it."""
    if premise is None:
        return "能不能，要由医生或药师判断。"
    return f"资料中{premise.entity}的{premise.attribute}没有提到“{premise.value}”，这不等于可以。"


def unsaid(evidence: Sequence[Evidence], answer: str) -> tuple[str, int]:
    """The values that an answer does not say, in a sentence to follow it, and how many they are; empty for none."""
    written = normalise(answer).text
    left: list[Evidence] = []
    for item in evidence:
        values = tuple(value for value in item.fact.values if normalise(value).text not in written)
        if values:
            left.append(item.model_copy(update={"fact": item.fact.model_copy(update={"values": values})}))
    count = sum(len(item.fact.values) for item in left)
    return (f"资料中还有：{_lines(left)}。" if left else ""), count


def _lines(evidence: Sequence[Evidence]) -> str:
    """The facts in one line; whom and what several in a row are about is said once."""
    said: list[str] = []
    subject = about = ""
    for item in evidence:
        fact = item.fact
        line = grounding.values_line(fact) if grounding.about(fact) == about else grounding.fact_line(fact)
        said.append((line.removeprefix(f"{subject}的") if subject else line) + grounding.mark(item.number))
        subject, about = fact.subject, grounding.about(fact)
    return "；".join(said)


_NEAR: dict[str, tuple[str, ...]] = {
    "药物治疗": ("治疗方案", "手术治疗", "辅助治疗"),
    "实验室检查": ("检查", "影像学检查"),
    "影像学检查": ("检查", "实验室检查"),
    "病因": ("高危因素", "发病机制"),
    "预后状况": ("治愈率", "预后生存率", "预后生存时间"),
    "治愈率": ("预后状况", "预后生存率"),
    "饮食建议": ("饮食禁忌",),
    "禁忌证": ("注意事项", "孕妇用药", "儿童用药", "老年用药"),
}
"""What may help whoever asked for an attribute that is not there."""


_COURTESIES = {
    "您好。请说出疾病、药物、症状或检查的名称，再说想了解什么。": "你好|您好|hi|hello|嗨|在吗|有人吗|[早上中下午晚]+好",
    "不客气。": "谢谢你?您?|多谢|感谢|谢了|辛苦了|好的,?谢谢|知道了,?谢谢",
    "好的。": "好的?|嗯+|哦+|知道了|明白了?|行|ok",
}


def courtesy(text: str) -> str:
    """What is said back to a greeting or to thanks; empty for anything else."""
    words = normalise(text).text.strip(" ,。!~?啊呀哦")
    return next((reply for reply, said in _COURTESIES.items() if re.fullmatch(said, words)), "")


def abstaining(gaps: Sequence[Gap], known: Callable[[str], Sequence[str]]) -> str:
    """That there is nothing to answer from, and what near to it there is. known: the attributes of an entity."""
    near = {
        gap.entity: [name for name in _NEAR.get(gap.attribute, ()) if name in known(gap.entity)]
        for gap in gaps
        if gap.attribute is not None
    }
    there = [f"知识库里有“{entity}”的{'、'.join(names)}，可以问这些。" for entity, names in near.items() if names]
    return grounding.abstention(gaps) + "".join(there)


def is_disputed(evidence: Sequence[Evidence]) -> bool:
    """Whether two facts give different values of an attribute that has only one (治愈率) under one condition."""
    single = [
        (item.fact.subject, item.fact.attribute, item.fact.qualifier)
        for item in evidence
        if item.fact.attribute in ATTRIBUTES and not ATTRIBUTES[item.fact.attribute].many
    ]
    return len(set(single)) < len(single)


def asking_back(names: Sequence[str], unknown: Sequence[str] = ()) -> str:
    """Asks which of the names is meant. unknown: what the person named and the base does not have."""
    missing = f"知识库没有收录{'、'.join(f'“{name}”' for name in unknown)}。" if unknown else ""
    choices = "，还是".join(f"“{name}”" for name in names)
    return f"{missing}您是指{choices}{'吗' if len(names) == 1 else ''}？"


def names_asked(text: str) -> tuple[str, ...]:
    """The names between which a text asks, as `asking_back` writes them; none where it does not ask."""
    found = re.findall("您是指(“[^”]+”(?:，还是“[^”]+”)*)吗?？", text)
    return tuple(re.findall("“([^”]+)”", found[-1])) if found else ()


def asking_attribute(known: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Asks what is to be known of entities. known: each with the attributes that the base has of it."""
    having = [(name, attributes) for name, attributes in known if attributes]
    if not having:
        return grounding.abstention([Gap(name) for name, _ in known])
    names = "和".join(f"“{name}”" for name, _ in having)
    there = "；".join(f"{name}：{'、'.join(attributes)}" for name, attributes in having)
    return f"您想了解{names}的哪一方面？知识库里有——{there}。"

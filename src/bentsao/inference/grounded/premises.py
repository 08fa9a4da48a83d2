"""Questions that assert a value (X会引起Y吗？): whether the facts say so, and whether an answer says the same.

A small model puts facts into words well and says yes too readily. So yes or no is read off the facts, and an answer
that says otherwise, or leaves it open, does not stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from bentsao.core.grounding import mark, without_marks
from bentsao.core.records import Evidence, Record
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.verify import KnownNames, Mentions


class Premise(Record):
    """What a question asserts of the attribute of an entity. numbers: the evidence that says so; empty: none does."""

    entity: str
    attribute: str
    value: str
    numbers: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the facts say what is asserted."""
        return bool(self.numbers)


_YES_OR_NO = re.compile(
    "吗|么$|吧$|是不是|是否|对不对|有没有|会不会|要不要|该不该|准不准|能不能|可不可|行不行|真的假的|真假|真是|可信|靠谱"
    "|属实|核实|有无"
)
_OPEN = re.compile(
    "什么|哪|多少|(?<![这那前好十过近])几|怎么|怎样|咋|如何|啥|为何|多久|多长|谁|有何|何时|何种|讲一?讲|说一说|介绍|列[出举]"
)
_DENIED_BEFORE = re.compile(r"(?:不|没有?|无|非|未|别|忌|禁)[会能可要是用吃]{0,2}$")
_ASKS_WHETHER = re.compile("有没有|会不会|要不要|该不该|能不能|可不可以?|有无|是不是")


def asks_whether(question: str) -> bool:
    """Whether a question is to be answered with yes or no."""
    text = normalise(question).text.rstrip("?？。.!！ ")
    return bool(_YES_OR_NO.search(text)) and not _OPEN.search(text)


_TAKE = "(?:吃|用(?!于)|喝|服|饮|打|吸|抽|抹|涂|碰|沾|注射|接种)"
_ASKS_LEAVE = re.compile(
    f"(?:(?<!功)能|可以|能否|可否|敢|(?<![标批])准)[^,;。?!:的]{{0,4}}{_TAKE}"
    f"|{_TAKE}[^,;。?!]{{1,12}}(?:(?:行|可以|能行|好|没事|没问题|要紧|碍事|有事|有关系|有影响)[吗么吧]|行不行|好不好|可不可以|要不要紧)"
)

_FRAIL = re.compile("孕(?!酮|激素)|怀着|哺乳|喂奶|喂母乳|坐月子|宝宝|[1-9一二三四五六七八九十]个月的?[大娃宝孩]")
_WHICH_MEDICINE = re.compile("(?:什么|啥|哪[种些个]|何种)药|[吃用服打][点些]?(?:什么|啥)")
"""Of whom a list of medicines is not said, and how it is asked for: 孕妇感冒了能吃什么药."""


def asks_leave(question: str) -> bool:
    """Whether a question asks for leave to take something. No fact alone gives that, so none is said yes to."""
    text = normalise(question).text
    if _FRAIL.search(text) and _WHICH_MEDICINE.search(text):
        return True
    clauses = re.split("[,;。?!\n]", text)
    return any(_ASKS_LEAVE.search(clause) and not _OPEN.search(clause) for clause in clauses)


def refusals(question: str, evidence: Sequence[Evidence], called: Callable[[str], Iterable[str]]) -> list[Premise]:
    """What the facts say against what a question asks leave for, in its own words: 青霉素过敏的人能吃阿莫西林吗.

    So does advice to avoid it (避免啤酒, where 痛风能喝啤酒吗 is asked).
    called: all names of an entity; the question must name the fact's entity beside the value.
    """
    text = normalise(question).text
    found: list[Premise] = []
    for item in evidence:
        fact = item.fact
        names = [normalise(name).text for name in (fact.subject, *called(fact.subject))]
        against = fact.attribute in ATTRIBUTES and ATTRIBUTES[fact.attribute].polarity == "against"
        for value in fact.values:
            said = normalise(value).text
            avoided = _AVOIDED.match(said)
            thing = avoided[1] if avoided else said if against else ""
            if thing and thing in text and any(name in text.replace(thing, "\n") for name in names):
                found.append(
                    Premise(entity=fact.subject, attribute=fact.attribute, value=value, numbers=(item.number,))
                )
    return found


_AVOIDED = re.compile(
    "(?:避免|限制|控制|远离|禁[食止忌用]?|忌[食用吃]?|少[吃喝食用]|不[吃喝宜]|戒|勿)[食饮吃喝用]?(.{1,8})"
)
"""Advice against something, as bases write it among what they recommend (避免啤酒)."""


def says_yes(answer: str) -> bool:
    """Whether an answer begins with a yes, or calls what was asked right."""
    return bool(_YES.search(without_marks(answer).strip()))


def asserted(
    question: str,
    names: Iterable[str],
    attributes: Sequence[str],
    evidence: Sequence[Evidence],
    known: Callable[[str], Mentions],
    *,
    likely: Callable[[str], Mentions] = lambda _: KnownNames(()),
    called: Callable[[str], Iterable[str]] = lambda _: (),
) -> Premise | None:
    """The one value that a question with yes or no asserts of the one entity that the evidence is about.

    names: of the entity, no values where the question says them. known: all of the base's values of an attribute.
    likely: what else an attribute's values might name, looked for where the question says none that is known. called:
    all names of a value that is an entity (水肿, 浮肿).
    None: an open question, no value of these attributes in it, several, or one that it denies itself (不会传染吧).
    """
    subjects = {item.fact.subject for item in evidence}
    if len(subjects) != 1 or not asks_whether(question):
        return None
    text = normalise(question).text
    for name in sorted({normalise(name).text for name in names}, key=len, reverse=True):
        text = text.replace(name, "\n") if name else text
    asked = tuple(dict.fromkeys((*attributes, *(item.fact.attribute for item in evidence))))
    found = _named(text, asked, known) or _named(text, asked, likely)
    if len({value for _, value in found}) != 1:
        return None
    (attribute, written), (start, value) = next(iter(found.items()))
    if _DENIED_BEFORE.search(_ASKS_WHETHER.sub("", text[:start])):
        return None
    numbers = tuple(
        item.number
        for item in evidence
        if any(_says(own, written, item.fact.attribute, called) for own in item.fact.values)
    )
    return Premise(entity=next(iter(subjects)), attribute=attribute, value=value, numbers=numbers)


def _named(
    text: str, attributes: Sequence[str], known: Callable[[str], Mentions]
) -> dict[tuple[str, str], tuple[int, str]]:
    """The values in a text, by attribute and as they are written: where, and as the base writes them.

    One within another is none (孕妇忌服 in 体虚者及孕妇忌服).
    """
    found = [
        (start, end, attribute, value) for attribute in attributes for start, end, value in known(attribute).find(text)
    ]
    return {
        (attribute, normalise(value).text): (start, value)
        for start, end, attribute, value in found
        if not any(left <= start and end <= right and right - left > end - start for left, right, _, _ in found)
    }


def _says(value: str, asserted: str, attribute: str, called: Callable[[str], Iterable[str]]) -> bool:
    """Whether a value of a fact says what is asserted: the same by any name, or for what has many values a part of it.

    A part before which the value denies it (安全性行为 in 不安全性行为, 海鲜 in 限制海鲜) says the opposite.
    """
    own = normalise(value).text
    if own == asserted or {normalise(name).text for name in called(value)} & {
        asserted,
        *(normalise(name).text for name in called(asserted)),
    }:
        return True
    place = own.find(asserted)
    many = attribute in ATTRIBUTES and ATTRIBUTES[attribute].many
    return many and place >= 0 and not _SPOKEN_AGAINST.search(own[:place])


_SPOKEN_AGAINST = re.compile("[不无非未免忌禁戒少减勿]$|(?:限制|控制|远离|停止)[^,;]{0,2}$")

Stand = Literal["yes", "no", "open"]

_YES = re.compile(
    "^(?:没错|是的|确实|准确|正确|属实|真的|(?:对|会|有|可以|能|是)[，,]|(?:对|会|有|可以|能)的)"
    "|说法(?:是)?(?:对|准确|正确)"
)
_NO = re.compile(
    "不是|没有|未(?:见|列|提|写|查|找|记|载|包)|不在|并非|不一定|不符|更正|纠正|不包括|不对|不含|不属于|不用于|找不到|不准确|不正确"
    "|有出入|不一致|并不|没查到|没提|没列|没写|不支持|说错|弄错|对不上|依据不足|查不到"
)  # fmt: skip


def stand(answer: str, premise: Premise) -> Stand:
    """What an answer says to a premise; "open": it does not come to the point."""
    text = without_marks(answer).strip()
    value = normalise(premise.value).text
    naming = [part for part in re.split(r"(?<=[。！？\n])", text) if value in normalise(part).text]
    looked_at = [part.replace(premise.value, "") for part in (*naming[:1], *re.split(r"(?<=[。！？\n])", text)[:1])]
    if any(map(_NO.search, looked_at)):
        return "no"
    if naming or _YES.search(text):
        return "yes"
    return "open"


def stands_in(premise: Premise) -> str:
    """That the facts have what is asserted."""
    marks = "".join(map(mark, premise.numbers))
    return f"资料中{premise.entity}的{premise.attribute}有“{premise.value}”{marks}。"


def kept_to(
    premise: Premise, answer: str, facts: str, *, of_one: Sequence[str], plain: bool = False
) -> tuple[str, str]:
    """An answer that says what the facts say to a premise, and what was wrong with the one given; empty: nothing.

    facts: the facts in plain words, for where the answer may not stay. of_one: the values of an attribute that has only
    one, which answer the question by themselves (有传染性吗？ 无传染性。); empty for an attribute with many. plain: say
    what stands in the facts, neither yes nor no: 是的 after 孕妇能吃吗 would mean the opposite of a contraindication.
    """
    said = stand(answer, premise)
    if premise.holds:
        if said == "yes" and ATTRIBUTES[premise.attribute].polarity != "against":
            return answer, ""
        lead = "" if plain else "是的，"
        return lead + stands_in(premise) + facts, "资料里有问到的这一项，回答没有认。"
    if said == "no" or (said == "open" and any(value in answer for value in of_one)):
        return answer, ""
    lead = (
        f"这个说法与资料不符，{premise.entity}的{premise.attribute}不是“{premise.value}”。"
        if of_one
        else f"资料中{premise.entity}的{premise.attribute}没有“{premise.value}”。"
    )
    if said == "open":
        return lead + answer, "资料里没有问到的这一项，回答没有说明。"
    return lead + facts, "资料里没有问到的这一项，回答却认了。"

"""Scores of grounded answers, item by item: entity, attribute, knowledge, facts, abstention, premises, form.

What each score means is said at `Score`; an item that a score does not apply to has None there, and does not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

from bentsao.core.grounding import without_marks
from bentsao.core.records import Evidence, Fact, Record
from bentsao.core.repetition import loops
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.verify import Mentions, verify

ANSWERABLE = frozenset({"plain", "several", "compare", "follow_up", "typo", "premise_true", "premise_false"})


class Gold(Record):
    """A question with what is right about it.

    kind: plain, several, compare, follow_up, typo, premise_true, premise_false, unknown, missing. entities: own
    names; attributes: those asked for; also: others that would be right too. facts: what the base says to these, in
    whatever order. value: what a premise asserts; pair: the same for the two questions of a pair.
    """

    id: str
    question: str
    kind: str
    history: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    value: str = ""
    pair: str = ""


class Said(Record):
    """An answer to a gold question, by any system. entities and attributes None: a system that names none."""

    id: str
    answer: str
    entities: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None
    evidence: tuple[Evidence, ...] | None = None
    abstained: bool = False
    finish: str = "end"


class Score(Record):
    """The scores of one answer; None: does not apply.

    entity, attribute: the first that was named is right. hit: every right (entity, attribute) with facts is in the
    evidence. claims, supported, hallucinated: of the answer, against the right facts; a premise that the answer denies
    is no claim of its. values, stated: of the right facts, and how many of them the answer says; none, where it
    declines although the base has them. abstained_right: on what the base does not have; abstained_wrong: on what it
    has. premise: a true one was affirmed, or a false one denied. affirmed: the answer says yes.
    """

    id: str
    kind: str
    group: str
    entity: bool | None = None
    attribute: bool | None = None
    hit: bool | None = None
    claims: int = 0
    supported: int = 0
    hallucinated: int = 0
    values: int = 0
    stated: int = 0
    abstained_right: bool | None = None
    abstained_wrong: bool | None = None
    premise: bool | None = None
    affirmed: bool | None = None
    pair: str = ""
    ended: bool = True
    repeats: bool = False


def score(
    gold: Gold,
    said: Said,
    *,
    vocabulary: Mentions | None = None,
    aliases: Callable[[str], Iterable[str]] | None = None,
) -> Score:
    """The scores of one answer."""
    answerable = gold.kind in ANSWERABLE
    asked = {*gold.attributes, *gold.also}
    out = Score(
        id=gold.id,
        kind=gold.kind,
        group=(*gold.entities, gold.id)[0],
        pair=gold.pair,
        ended=said.finish == "end",
        repeats=loops(said.answer),
        abstained_right=None if answerable else said.abstained,
        abstained_wrong=said.abstained if answerable else None,
        values=len(_values(gold)) if answerable else 0,
    )
    found: dict[str, object] = {}
    if said.entities is not None and gold.entities:
        found["entity"] = said.entities[:1] != () and said.entities[0] in gold.entities
    if said.attributes is not None and (answerable or gold.kind == "missing"):
        found["attribute"] = said.attributes[:1] != () and said.attributes[0] in asked
    if said.evidence is not None and answerable:
        found["hit"] = _pairs(gold.facts) <= _pairs(item.fact for item in said.evidence)
    if answerable and not said.abstained:
        found |= _facts(gold, said, vocabulary, aliases)
        if gold.value:
            affirmed = affirms(said.answer, gold.value)
            found |= {"affirmed": affirmed, "premise": affirmed == (gold.kind == "premise_true")}
    elif gold.value:
        found |= {"affirmed": False, "premise": False}
    return out.model_copy(update=found)


def affirms(answer: str, value: str) -> bool:
    """Whether an answer affirms the value it was asked about.

    It must name the value and not deny it (`denies`).
    """
    wanted = normalise(value).text
    return wanted in normalise(without_marks(answer)).text and not denies(answer, value)


def denies(answer: str, value: str) -> bool:
    """Whether an answer denies the value it was asked about, in so many words.

    A yes or no that it opens with decides. Else a denial is read from its first sentence and the first that names the
    value: one of what was put to it (没有依据) anywhere in them, any other (没有特效药) only where it opens the answer
    or stands in one clause with the value.
    """
    said = normalise(without_marks(answer)).text.strip()
    if opening := opens(said):
        return opening == "no"
    wanted = normalise(value).text
    said = said.replace(wanted, _VALUE) if wanted else said
    sentences = [part for part in re.split(r"[。!?\n]", said) if part.strip()]
    naming = [part for part in sentences if _VALUE in part]
    if any(_REJECTED.search(part) for part in (*sentences[:1], *naming[:1])):
        return True
    clauses = [part for sentence in naming[:1] for part in re.split("[,;:]", sentence) if _VALUE in part]
    return any(_NEGATED.search(part) for part in (*re.split("[,;:。]", said)[:1], *clauses))


def opens(answer: str) -> Literal["yes", "no", ""]:
    """Whether the first clause of an answer is a yes or a no by itself."""
    first = re.match(r"[^,。;:!?\s]*", normalise(without_marks(answer)).text.strip())
    words = first[0] if first else ""
    return "yes" if _YES.fullmatch(words) else "no" if _NO.fullmatch(words) else ""


_YES = re.compile("(?:是|对|会|可以|有)的?|能|正确|确实|需要|属于|没有?[记弄说]?错")
_NO = re.compile("(?:不(?![仅过但只论管])|否|错|没有|并不|并非).{0,4}")
_VALUE = "\0"
_REJECTED = re.compile(
    "未(?:见|列|提|写|查|找|记|包|把)|不符|更正|纠正|不对|找不到|不准确|不正确|再核对|有出入|不一致|不支持|说错|弄错|对不上|先(?:别|不要)"
    "|不能这[样么]|没(?:有)?(?:[这那]|查到|看到|见到|找到|提|列|写|说|记载|出现|把|将|依据|证据|根据|资料)|缺[少乏]依据"
)
"""Words that deny what was put to it, whatever they stand beside."""
_NEGATED = re.compile(
    "不是|没有|不在|并非|并不|不一定|不包括|不含|不属于|不[适用]用?[于合]|不支持|不建议|不宜|不可以|不能|不会[^\0]*\0"
)
"""Words that deny what stands beside them."""


def _facts(
    gold: Gold,
    said: Said,
    vocabulary: Mentions | None,
    aliases: Callable[[str], Iterable[str]] | None,
) -> dict[str, object]:
    text = without_marks(said.answer)
    claims = verify(text, gold.facts, vocabulary=vocabulary, aliases=aliases).claims
    if gold.value and not affirms(said.answer, gold.value):
        # 资料中没有胃镜: what is denied is named, and not claimed.
        value = _bare(gold.value)
        claims = tuple(one for one in claims if _bare(one.text) not in value and value not in _bare(one.text))
    supported = sum(claim.verdict == "supported" for claim in claims)
    written = _bare(text)
    return {
        "claims": len(claims),
        "supported": supported,
        "hallucinated": len(claims) - supported,
        "stated": sum(value in written for value in _values(gold)),
    }


def _values(gold: Gold) -> set[str]:
    return {_bare(value) for fact in gold.facts for value in fact.values}


def _bare(text: str) -> str:
    """Without what a sentence may change at a value's edges."""
    return re.sub(r"[\s，。；、,.;：:]", "", normalise(text).text)


def _pairs(facts: Iterable[Fact]) -> set[tuple[str, str]]:
    return {(fact.subject, fact.attribute) for fact in facts}

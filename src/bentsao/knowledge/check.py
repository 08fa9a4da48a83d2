"""What is wrong with a knowledge base, or may be: rules that look at it and say what they see.

`RULES` is the list. A rule sees one entity with its facts at a time, and knows the names of all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from bentsao.core.records import Fact, Record
from bentsao.knowledge import contents
from bentsao.knowledge.doses import far_apart, suspicious
from bentsao.knowledge.importers.values import TEXT_ATTRIBUTES, is_sentence
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import ATTRIBUTES, KINDS, Kind
from bentsao.knowledge.store import Entity, KnowledgeBase
from bentsao.knowledge.verify.quantities import quantities

TERM_LENGTH, TEXT_LENGTH = 24, 120
"""Chinese characters that a term and a piece of running text should not exceed; two Latin letters count as one."""

OPPOSITES = {"禁忌证": "适应症", "饮食禁忌": "饮食建议"}
"""What rules something out, and what recommends it: the same value in both cannot be."""

DENIED = {("传染性", "无传染性"): "传播途径"}
"""A value, and the attribute that then makes no sense."""

DOSE = "用法用量"


class Problem(Record):
    """Something that a rule found about `subject`, an entity.

    `rule`: a key of RULES. `attribute` is None where names are at fault, and `values` are those names. `sources`: who
    says so; empty for names.
    """

    rule: str
    subject: str
    kind: Kind
    attribute: str | None
    values: tuple[str, ...]
    reason: str
    sources: tuple[str, ...] = ()


def check(kb: KnowledgeBase, rules: Collection[str] = ()) -> Iterator[Problem]:
    """The problems that these rules (keys of RULES; none given: all) find, entity by entity."""
    named = _named(kb)
    chosen = {name: rule for name, rule in RULES.items() if not rules or name in rules}
    for entity in contents.entities(kb):
        seen = _Seen(entity, kb.facts(entity.id), kb, named)
        for name, rule in chosen.items():
            for finding in rule.find(seen):
                yield Problem(
                    rule=name,
                    subject=entity.name,
                    kind=entity.kind,
                    attribute=finding.attribute,
                    values=finding.values,
                    reason=finding.reason,
                    sources=contents.citations(finding.facts),
                )


@dataclass(frozen=True)
class _Named:
    """An entity under one of its names; `own`: it is not an alias."""

    id: int
    kind: Kind
    text: str
    own: bool


@dataclass(frozen=True)
class _Seen:
    """What a rule sees: an entity with its facts, and all entities by their normalised names."""

    entity: Entity
    facts: Sequence[Fact]
    kb: KnowledgeBase
    named: dict[str, list[_Named]]

    def of(self, attribute: str) -> list[Fact]:
        """The facts of one attribute."""
        return [fact for fact in self.facts if fact.attribute == attribute]


@dataclass(frozen=True)
class _Finding:
    """A problem as a rule tells it; the rest is known. `attribute` None: `values` are names."""

    attribute: str | None
    values: tuple[str, ...]
    reason: str
    facts: Sequence[Fact] = ()


def _named(kb: KnowledgeBase) -> dict[str, list[_Named]]:
    named: dict[str, list[_Named]] = {}
    for text, entity, kind, own in kb.names():
        named.setdefault(_key(text), []).append(_Named(entity, kind, text, own))
    return named


def _key(text: str) -> str:
    return normalise(text).text


# --- contradictions --------------------------------------------------------------------------------------------------


def _contradictions(seen: _Seen) -> Iterator[_Finding]:
    yield from _differing(seen)
    for against, in_favour in OPPOSITES.items():
        yield from _recommended_and_ruled_out(seen.of(against), seen.of(in_favour))
    for (attribute, value), senseless in DENIED.items():
        said, others = seen.of(attribute), seen.of(senseless)
        if others and {each for fact in said for each in fact.values} == {value}:
            yield _Finding(attribute, (value,), f"却又有{senseless}", said + others)
    if seen.entity.kind == "drug":
        yield from _treats_what_forbids_it(seen)


def _differing(seen: _Seen) -> Iterator[_Finding]:
    """Attributes that have one value under one condition, with several."""
    told: dict[tuple[str, str | None], list[Fact]] = {}
    for fact in seen.facts:
        if not ATTRIBUTES[fact.attribute].many:
            told.setdefault((fact.attribute, fact.qualifier), []).append(fact)
    for (attribute, _), same in told.items():
        values = {_meaning(value): value for fact in same for value in fact.values}
        if len(values) > 1:
            yield _Finding(attribute, tuple(values.values()), "只应有一个值", same)


def _meaning(value: str) -> object:
    """What two values share that say the same: their quantities (7～14天, 1-2周), else the normalised text."""
    text = _key(value)
    return tuple((one.dimension, round(one.low, 3), round(one.high, 3)) for one in quantities(text)) or text


def _recommended_and_ruled_out(against: Sequence[Fact], in_favour: Sequence[Fact]) -> Iterator[_Finding]:
    for bad in against:
        ruled_out = {_key(value) for value in bad.values}
        for good in in_favour:
            values = tuple(value for value in good.values if _key(value) in ruled_out)
            if values and bad.qualifier in {None, good.qualifier}:
                yield _Finding(bad.attribute, values, f"同时是{good.attribute}", [bad, good])


def _treats_what_forbids_it(seen: _Seen) -> Iterator[_Finding]:
    """Diseases that a drug is contraindicated in, and that are said to be treated with it."""
    names = {_key(name) for name in contents.names_of(seen.entity)}
    for fact in seen.of("禁忌证"):
        for value in fact.values if fact.qualifier is None else ():
            for disease in (one for one in seen.named.get(_key(value), ()) if one.kind == "disease"):
                treated = [
                    told
                    for told in seen.kb.facts(disease.id, "药物治疗")
                    if told.qualifier is None and any(_key(each) in names for each in told.values)
                ]
                if treated:
                    yield _Finding("禁忌证", (value,), f"{treated[0].subject}的药物治疗里有它", [fact, *treated])


# --- names -----------------------------------------------------------------------------------------------------------


def _clashing_names(seen: _Seen) -> Iterator[_Finding]:
    """Names that other entities have as well; told once, at the first of them."""
    for key, name in {_key(name): name for name in reversed(contents.names_of(seen.entity))}.items():
        named = seen.named[key]
        if len({one.id for one in named}) > 1 and seen.entity.id == min(one.id for one in named):
            owners = {one.id: _owner(seen.kb, one) for one in named}
            yield _Finding(None, (name,), f"{_clash(named)}：{'、'.join(owners.values())}")


def _clash(named: Sequence[_Named]) -> str:
    owners = {one.id: one.kind for one in named if one.own}
    if len(owners) > 1:
        return "同一个名称，类别不同" if len(set(owners.values())) > 1 else "名称只是写法不同"
    return "一个的别名是另一个的名称" if owners else "同一个别名"


def _owner(kb: KnowledgeBase, one: _Named) -> str:
    name = one.text if one.own else next(entity.name for entity in kb.entities(one.text) if entity.id == one.id)
    return f"{name}（{KINDS[one.kind]}）"


# --- values ----------------------------------------------------------------------------------------------------------


def _dangling(seen: _Seen) -> Iterator[_Finding]:
    """Values that should name an entity of the knowledge base, and do not."""
    for fact in seen.facts:
        if kind := ATTRIBUTES[fact.attribute].values:
            values = tuple(value for value in fact.values if _key(value) not in seen.named)
            if values:
                yield _Finding(fact.attribute, values, f"知识库里没有这样的{KINDS[kind]}", [fact])


def _too_long(seen: _Seen) -> Iterator[_Finding]:
    if names := tuple(name for name in contents.names_of(seen.entity) if _length(name) > TERM_LENGTH):
        yield _Finding(None, names, f"名称超过 {TERM_LENGTH} 字")
    for fact in seen.facts:
        running = fact.attribute in TEXT_ATTRIBUTES
        limit = TEXT_LENGTH if running else TERM_LENGTH
        if values := tuple(value for value in fact.values if _length(value) > limit):
            yield _Finding(fact.attribute, values, f"值超过 {limit} 字", [fact])
        if not running and (values := tuple(v for v in fact.values if _length(v) <= limit and is_sentence(v))):
            yield _Finding(fact.attribute, values, "值是句子，不是词条", [fact])


def _length(text: str) -> float:
    return sum(1 if character > "\u2e80" else 0.5 for character in text)


def _doses(seen: _Seen) -> Iterator[_Finding]:
    for fact in seen.facts:
        if fact.attribute == DOSE:
            for value in fact.values:
                yield from (_Finding(DOSE, (value,), reason, [fact]) for reason in suspicious(value))
        elif values := tuple(value for value in fact.values if _has_dose(fact.attribute, value)):
            yield _Finding(fact.attribute, values, f"剂量应写在药物的{DOSE}里", [fact])
    told = seen.of(DOSE)
    if apart := far_apart(value for fact in told for value in fact.values):
        yield _Finding(DOSE, apart, "单次剂量相差悬殊，单位可能有误", told)


def _has_dose(attribute: str, value: str) -> bool:
    """Whether a value that should name a drug says how much of it to take."""
    named = ATTRIBUTES[attribute].values == "drug"
    return named and any(one.dimension in {"mass", "volume"} for one in quantities(_key(value)))


@dataclass(frozen=True)
class Rule:
    """`label`: what it looks for, in the user's words."""

    label: str
    find: Callable[[_Seen], Iterator[_Finding]]


RULES: dict[str, Rule] = {
    "contradiction": Rule("相互矛盾的事实", _contradictions),
    "alias": Rule("名称与别名冲突", _clashing_names),
    "dose": Rule("可疑的剂量", _doses),
    "long": Rule("过长的名称和值", _too_long),
    "dangling": Rule("悬空的值（没有对应的实体）", _dangling),
}
"""The rules by name, the gravest first; what dangles is no fault in a base of diseases alone."""

"""The material: what the knowledge base says of each entity, ready to be put into words.

Nothing is put into words here; what cannot be used is counted by reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bentsao.construction.grammar import Grammar
from bentsao.core import grounding
from bentsao.core.records import Fact
from bentsao.knowledge.contents import entities
from bentsao.knowledge.schema import ATTRIBUTES, Kind
from bentsao.knowledge.store import Entity, KnowledgeBase

LONGEST_ANSWER = 600
"""Characters of all values of an attribute together; longer ones would be documents, not answers."""

MOST_VALUES = 24
"""Values of an attribute; an answer that lists more is a table."""

SAYS_NOTHING = re.compile(
    "无特定(?:的)?人群|(?:所有人群|任何年龄|各年龄)?(?:均可|可)(?:发病|发生).*|可发生于任何年龄|任何年龄|不限|无|不详|暂无"
)
"""Values that leave open what the attribute asks for."""

SPOKEN_ALIASES = ("synonym", "colloquial", "brand")


@dataclass(frozen=True)
class Subject:
    """An entity with its facts by attribute, those that can be put into words. `names`: what people call it."""

    entity: Entity
    names: tuple[str, ...]
    facts: Mapping[str, tuple[Fact, ...]]

    @property
    def name(self) -> str:
        """Its own name."""
        return self.entity.name

    @property
    def kind(self) -> Kind:
        """Its kind."""
        return self.entity.kind

    @cached_property
    def signs(self) -> tuple[str, ...]:
        """Symptoms of a disease that can be told in a vignette: short, and really there (not 早期无症状)."""
        found = values_of(self.facts.get("临床症状及体征", ()))
        return tuple(
            value for value in found if len(value) <= 8 and not re.search(r"[，。；、/（(]|无症状|正常", value)
        )


@dataclass(frozen=True)
class Material:
    """Subjects, and what was left out by reason: entity or attribute → count.

    whole: the material that this is a part of; None for a whole one.
    """

    subjects: tuple[Subject, ...]
    left_out: Counter[str]
    whole: Material | None = None

    def part(self, keep: Callable[[Subject], bool]) -> Material:
        """Only some of the subjects. False values are still drawn from all."""
        return Material(tuple(filter(keep, self.subjects)), Counter(), self.whole or self)

    @cached_property
    def by_kind(self) -> dict[Kind, list[Subject]]:
        """The subjects of each kind, in their order."""
        found: dict[Kind, list[Subject]] = {}
        for subject in self.subjects:
            found.setdefault(subject.kind, []).append(subject)
        return found

    @cached_property
    def named(self) -> dict[str, Subject]:
        """The subjects by every name; a name that several have is the first one's."""
        found: dict[str, Subject] = {}
        for subject in self.subjects:
            for name in (subject.name, *(alias.text for alias in subject.entity.aliases)):
                found.setdefault(name, subject)
        return found

    def having(self, attribute: str, value: str) -> Sequence[Subject]:
        """The subjects of this part that have this value of an attribute, in their order."""
        return self._by_value.get((attribute, value), ())

    @cached_property
    def _by_value(self) -> dict[tuple[str, str], list[Subject]]:
        found: dict[tuple[str, str], list[Subject]] = {}
        for subject in self.subjects:
            for attribute, facts in subject.facts.items():
                for value in values_of(facts):
                    found.setdefault((attribute, value), []).append(subject)
        return found

    def aliases(self, name: str) -> tuple[str, ...]:
        """All names of the subject that has this name, as the verifier asks for them; empty for a name of none."""
        subject = (self.whole or self).named.get(name)
        return (subject.name, *(alias.text for alias in subject.entity.aliases)) if subject else ()

    @cached_property
    def commonness(self) -> dict[tuple[Kind, str], Counter[str]]:
        """How many subjects have each value of an attribute, in the whole material."""
        if self.whole is not None:
            return self.whole.commonness
        found: dict[tuple[Kind, str], Counter[str]] = {}
        for subject in self.subjects:
            for attribute, facts in subject.facts.items():
                found.setdefault((subject.kind, attribute), Counter()).update(values_of(facts))
        return found

    @cached_property
    def pools(self) -> dict[tuple[Kind, str], list[tuple[Subject, str]]]:
        """Every short value of an attribute with whose it is, to draw false ones from."""
        if self.whole is not None:
            return self.whole.pools
        found: dict[tuple[Kind, str], list[tuple[Subject, str]]] = {}
        for subject in self.subjects:
            for attribute, facts in subject.facts.items():
                pool = found.setdefault((subject.kind, attribute), [])
                pool += [(subject, value) for value in values_of(facts) if len(value) <= 16]
        return found


def gather(kb: KnowledgeBase, grammar: Grammar, *, kinds: Iterable[Kind] | None = None) -> Material:
    """The subjects of a knowledge base that the grammar has words for, by id. kinds: only these; None: all."""
    left_out: Counter[str] = Counter()
    subjects: list[Subject] = []
    wanted = None if kinds is None else set(kinds)
    for entity in entities(kb):
        if wanted is not None and entity.kind not in wanted:
            continue
        if not _is_sayable(entity.name):
            left_out[f"实体名不适合放进句子（{entity.kind}）"] += 1
            continue
        facts = _usable(kb.facts(entity.id), entity.kind, grammar, left_out)
        if not facts:
            left_out[f"没有能写成问答的事实的实体（{entity.kind}）"] += 1
            continue
        spoken = (alias.text for alias in entity.aliases if alias.type in SPOKEN_ALIASES and _is_sayable(alias.text))
        subjects.append(Subject(entity, tuple(dict.fromkeys((entity.name, *spoken))), facts))
    return Material(tuple(subjects), left_out)


def values_of(facts: Sequence[Fact]) -> tuple[str, ...]:
    """The values of several facts, each once."""
    return tuple(dict.fromkeys(value for fact in facts for value in fact.values))


def _usable(facts: Sequence[Fact], kind: Kind, grammar: Grammar, left_out: Counter[str]) -> dict[str, tuple[Fact, ...]]:
    grouped: dict[str, list[Fact]] = {}
    for fact in facts:
        grouped.setdefault(fact.attribute, []).append(fact)
    usable: dict[str, tuple[Fact, ...]] = {}
    for attribute, all_found in grouped.items():
        found = [said for fact in all_found if (said := _said(fact))]
        values = values_of(found)
        if dropped := len(values_of(all_found)) - len(values):
            left_out[f"不能放进句子的值：{attribute}"] += dropped
        if not found:
            continue
        if (kind, attribute) not in grammar.attributes:
            left_out[f"没有句式的属性：{kind}·{attribute}"] += len(values)
        elif len(values) > MOST_VALUES or sum(map(len, values)) > LONGEST_ANSWER:
            left_out[f"一次说不完的事实：{attribute}"] += len(values)
        elif not ATTRIBUTES[attribute].many and len({fact.qualifier for fact in found}) < len(found):
            left_out[f"各来源说法不一的事实：{attribute}"] += len(values)
        else:
            usable[attribute] = grounding.in_order(found)
    return usable


def _said(fact: Fact) -> Fact | None:
    """The fact with those of its values that can stand in a sentence; None where there are none."""
    values = tuple(value for value in fact.values if _can_be_said(value, fact.attribute))
    if not values:
        return None
    return fact if values == fact.values else fact.model_copy(update={"values": values})


def _can_be_said(value: str, attribute: str) -> bool:
    """Whether a value is whole and says something: no sentence after another, no open bracket, more than its label."""
    brackets = sum(map(value.count, "（(")) == sum(map(value.count, "）)"))
    starts = not re.match(r"[，。；：、,.;:）)]", value)
    return (
        bool(value) and brackets and starts and "。" not in value.rstrip("。") and value != attribute
        and not re.search(r"[，、：:,]$", value) and not SAYS_NOTHING.fullmatch(value)
    )  # fmt: skip


def _is_sayable(name: str) -> bool:
    """Whether a name can stand in a sentence as it is."""
    return 2 <= len(name) <= 24 and not re.search(r"[，。；：？！、｜|\[\]{}\n]", name)

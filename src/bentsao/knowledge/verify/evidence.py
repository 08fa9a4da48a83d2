"""Facts made ready to be compared with a text: what they name, and the figures they give.

What can be worked out from a value alone is worked out once and kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from bentsao.core.records import Fact
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.verify.items import is_name, items
from bentsao.knowledge.verify.mentions import Mentions
from bentsao.knowledge.verify.quantities import Quantity, quantities
from bentsao.knowledge.verify.reading import conditions_of
from bentsao.knowledge.verify.stance import core, use

Aliases = Callable[[str], Iterable[str]]
"""The other names of a name."""


class Entry(NamedTuple):
    """One thing that a fact names. `negative`: the fact denies it or advises against it (无发热, 避免饮酒, a 禁忌证).

    `name` is how the fact calls it, in normalised writing; `bare` says that it stands here without its dosage form.
    """

    fact: Fact
    value: str
    name: str
    negative: bool
    bare: bool = False


class Figures(NamedTuple):
    """The quantities of one part of a value, the conditions under which they hold, and what is measured.

    `label` is known for normal values only (白细胞 of 白细胞3.5~9.5×10⁹/L), else empty.
    """

    fact: Fact
    value: str
    quantities: tuple[Quantity, ...]
    conditions: Mapping[str, str]
    label: str


class Evidence:
    """The facts by what they name and by what they measure."""

    def __init__(self, facts: Sequence[Fact], vocabulary: Mentions | None, aliases: Aliases | None) -> None:
        self.facts = facts
        self.attributes = {fact.attribute for fact in facts}
        self.subjects: dict[str, str] = {}
        self.names: dict[str, list[Entry]] = defaultdict(list)
        self.figures: list[Figures] = []
        self.conditions = {written(fact.qualifier) for fact in facts if fact.qualifier}
        for fact in facts:
            for name in (fact.subject, *(aliases(fact.subject) if aliases else ())):
                self.subjects.setdefault(written(name), fact.subject)
            given = conditions_of(written(fact.qualifier)) if fact.qualifier else {}
            for value in fact.values:
                for found, conditions in _figures(value):
                    label = written(value)[: found[0].start] if fact.attribute == "正常值" else ""
                    self.figures.append(Figures(fact, value, found, {**conditions, **given}, label))
                if fact.attribute not in ANSWERS and not _is_use(fact.attribute, written(value)):
                    self._add_names(fact, value, vocabulary, aliases)

    def _add_names(self, fact: Fact, value: str, vocabulary: Mentions | None, aliases: Aliases | None) -> None:
        whole = written(value)
        for key, name, negative, short in _named(fact.attribute, value):
            self.names[key].append(Entry(fact, value, name, negative, short))
        for alias in aliases(value) if aliases else ():
            self.names[written(alias)].append(Entry(fact, value, whole, _rules_out(fact.attribute)))
        if vocabulary and len(whole) > LONG:
            for start, end, _ in vocabulary.find(whole):
                name, negative = whole[start:end], _rules_out(fact.attribute) or _denied(whole, start, end)
                self.names[name].append(Entry(fact, value, name, negative))

    def entries(self, name: str, other: str) -> list[Entry]:
        """What the facts say of a name (`other`: its entity's own name), a dosage form aside where only one has one."""
        found = self.names.get(name) or self.names.get(other)
        if not found and (short := bare(name)) != name:
            found = [entry for entry in self.names.get(short, ()) if not entry.bare]
        return list(found or ())

    def narrower(self, name: str) -> list[Entry]:
        """The entries of which a name is the general term (头痛 of 搏动性头痛), where the fact thereby says it too."""
        name = bare(name)
        return [
            entry
            for key, entries in self.names.items()
            if key.endswith(name) and len(key) > len(name) > 1 and not _ALTERED.search(key[: -len(name)])
            for entry in entries
            if entry.fact.attribute in GENERAL and not entry.negative and not entry.bare
        ]

    def wider(self, name: str) -> Entry | None:
        """An entry that is the general term of a name, which is more than the fact says."""
        keys = [key for key in self.names if name.endswith(key) and 1 < len(key) < len(name)]
        return self.names[max(keys, key=len)][0] if keys else None


ANSWERS = frozenset(name for name, attribute in ATTRIBUTES.items() if attribute.polarity == "answer") | {"OTC类型"}
"""The attributes whose values are a yes or no, which `statements` reads."""

USES = frozenset({"孕妇用药", "儿童用药", "老年用药"})
"""The attributes whose values say how somebody may use a drug (慎用, 12岁以下禁用), which `statements` reads too."""

GENERAL = frozenset(
    name
    for name, attribute in ATTRIBUTES.items()
    if attribute.polarity == "for" and attribute.values in {"symptom", "examination", "operation", "department", "body"}
) | {"并发症", "病因", "高危因素"}
"""The attributes where a fact about the special (吸入性肺炎) is one about the general (肺炎). Not those of drugs:
noradrenaline is not adrenaline, and a drug for one leukaemia is not one for all."""

SHORT = 8
"""A value of `USES` with no more characters than this says nothing but the use."""

LONG = 12
"""Values with more characters than this are taken for sentences, which name several things."""

_ALTERED = re.compile("(?:[非无抗假类伪防未没]|疑似|预防|假性|既往|排除)$")
_DRUG_SALT = re.compile(
    "^(?:注射用|外用|复方(?!甘草|丹参))?(?:盐酸|硫酸|枸橼酸|马来酸|酒石酸|富马酸|甲磺酸|苯磺酸|磷酸|醋酸|氢溴酸)"
)
_FORM = re.compile(
    "(?:分散|缓释|控释|肠溶|咀嚼|泡腾|口崩|含|薄膜衣)?(?:片|胶囊|软胶囊|颗粒|注射液|口服液|口服溶液|滴眼液|滴剂|糖浆|混悬液|乳膏|软膏|凝胶|栓|散|喷雾剂|气雾剂)$|"
    "(?:检查|检测|测定|化验)$"
)


def _is_use(attribute: str, value: str) -> bool:
    """Whether a value only says how somebody may use a drug, so that without him it names nothing."""
    return attribute in USES and len(value) <= SHORT and use(value) is not None


def bare(name: str) -> str:
    """A drug without its salt and dosage form, an examination without 检查: 盐酸西替利嗪片 → 西替利嗪."""
    short = _FORM.sub("", _DRUG_SALT.sub("", name))
    return short if len(short) > 1 else name


@lru_cache(maxsize=65536)
def written(value: str) -> str:
    """A value in normalised writing, without the stops at its ends."""
    return normalise(value).text.strip(" \n,.;:。、")


@lru_cache(maxsize=65536)
def _named(attribute: str, value: str) -> tuple[tuple[str, str, bool, bool], ...]:
    """What a value names: under which words, as what, whether it is denied, whether its dosage form is left out."""
    whole, against = written(value), _rules_out(attribute)
    if not whole:
        return ()
    out = [(whole, whole, against, False)]
    if (short := bare(whole)) != whole:
        out.append((short, whole, against, True))
    parts = [core(whole)]
    if attribute != "用法用量" and (len(whole) > LONG or any(stop in whole for stop in "、,;。")):
        names = [whole[start:end] for start, end in items(whole, 0, len(whole))]
        parts += [core(name) for name in names if is_name(name)]
    out += [(name, name, against or no, False) for name, no in parts if name != whole and len(name) > 1]
    return tuple(dict.fromkeys(out))


def _rules_out(attribute: str) -> bool:
    known = ATTRIBUTES.get(attribute)
    return known is not None and known.polarity == "against"


def _denied(whole: str, start: int, end: int) -> bool:
    name, negative = core(whole[max(0, start - 6) : end])
    return negative and name.endswith(whole[start:end])


_STATEMENT_END = re.compile(r"[。;\n]|(?<![\w.])\d+[.)](?!\d)")


@lru_cache(maxsize=65536)
def _figures(value: str) -> tuple[tuple[tuple[Quantity, ...], Mapping[str, str]], ...]:
    """The quantities of a value, part by part (成人：…。儿童：…), each with its conditions; a day's dose worked out."""
    whole = written(value)
    if not quantities(whole):
        return ()
    out: list[tuple[tuple[Quantity, ...], Mapping[str, str]]] = []
    conditions: dict[str, str] = {}
    at = 0
    for stop in [*(match.span() for match in _STATEMENT_END.finditer(whole)), (len(whole), len(whole))]:
        part, at = whole[at : stop[0]], stop[1]
        conditions = conditions | conditions_of(part)
        if found := quantities(part):
            out.append((found + tuple(_a_day(found)), conditions))
    return tuple(out)


def _a_day(found: Sequence[Quantity]) -> Iterator[Quantity]:
    """0.5g three times a day is 1.5g a day."""
    rates = [quantity for quantity in found if quantity.dimension == "times/time"]
    doses = [quantity for quantity in found if quantity.dimension in {"mass", "activity", "volume"}]
    if len(rates) == len(doses) == 1:
        (rate,), (dose,) = rates, doses
        yield Quantity(dose.start, rate.end, dose.low * rate.low, dose.high * rate.high, f"{dose.dimension}/time")

"""Facts about entities that do not exist: so that a model learns to say what is put before it, not what it remembers.

The name is in no base; the values are other entities' (or figures drawn by chance), under one to three sources as in a
base that was made of several. Nothing of it can be taken for medicine, and the rows say in their source what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.direct import VOICES, direct, several, vignette
from bentsao.construction.forms.gaps import invented
from bentsao.construction.forms.pen import Pen
from bentsao.construction.forms.premises import premises
from bentsao.construction.subjects import Subject
from bentsao.core import grounding
from bentsao.core.records import Fact, Source
from bentsao.knowledge.schema import ATTRIBUTES, Kind
from bentsao.knowledge.store import Entity

_SOURCE = Source(name="虚构的资料，只用来学习依据资料作答")
_HOSPITAL = "市三甲医院"


def _percent(rng: Random) -> str:
    low = rng.randrange(5, 90)
    return rng.choice((f"{low}%", f"{low}%-{min(low + rng.randrange(5, 20), 99)}%", f"约{low}%", f"{low}%左右"))


def _time(rng: Random) -> str:
    low = rng.randrange(1, 9)
    span = rng.choice(("天", "周", "个月", "月", "年"))
    return rng.choice(
        (f"{low}-{low + rng.randrange(1, 8)}{span}", f"{low}～{low + 2}{span}", f"{low}{span}左右", "终身治疗")
    )


def _money(rng: Random) -> str:
    low = rng.choice((200, 500, 800, 1000, 2000, 3000, 5000, 8000, 10000))
    return f"{low}{rng.choice(('~', '——', '-', '～'))}{low * rng.randrange(2, 6)}元"


_FIGURES: dict[str, Callable[[Random], str]] = {
    "治愈率": _percent,
    "治疗周期": _time,
    "治疗费用": _money,
    "是否医保": lambda rng: rng.choice(("医保疾病", "非医保疾病")),
    "传染性": lambda rng: rng.choice(("有传染性", "无传染性")),
    "发病率": _percent,
    "死亡率": _percent,
    "预后生存率": _percent,
}
"""Attributes whose values are drawn by chance."""

_DRUG_COVER = ("医保甲类", "医保乙类", "非医保药品")


def about_nothing(pen: Pen) -> Exchange | None:
    """A question about an invented entity, in one of the plain forms or as a premise."""
    kind: Kind = pen.rng.choices(("disease", "drug"), (3, 1))[0]
    subject = _subject(kind, pen)
    if subject is None:
        return None
    attributes = sorted(subject.facts)
    form = pen.rng.choices(("plain", "vignette", "several", "premise"), (5, 2, 2, 3))[0]
    if form == "several":
        return _as_invented(several(subject, tuple(attributes), pen))
    attribute = pen.rng.choice(attributes)
    if form == "vignette":
        return _as_invented(vignette(subject, attribute, pen))
    if form == "premise":
        pair = premises(subject, attribute, pen)
        return _as_invented(pen.rng.choice(pair) if pair else None)
    return _as_invented(direct(subject, attribute, pen, pen.rng.choice(VOICES)))


def _as_invented(exchange: Exchange | None) -> Exchange | None:
    """Under its own form, and about no entity of the base."""
    return None if exchange is None else replace(exchange, form="invented", subjects=())


def _subject(kind: Kind, pen: Pen) -> Subject | None:
    name = invented(kind, pen)
    wanted = sorted(attribute for of, attribute in pen.grammar.attributes if of == kind)
    # Figures come as often as everything else together: they are what a model would rather remember than read.
    figures = [attribute for attribute in wanted if attribute in _FIGURES]
    chosen = {pen.rng.choice(figures if figures and pen.rng.random() < 0.5 else wanted) for _ in range(3)}
    facts = {attribute: found for attribute in sorted(chosen) if (found := _facts(name or "", kind, attribute, pen))}
    if name is None or not facts:
        return None
    return Subject(Entity(id=0, name=name, kind=kind), (name,), facts)


def _facts(name: str, kind: Kind, attribute: str, pen: Pen) -> tuple[Fact, ...]:
    if (kind, attribute) == ("drug", "是否医保"):
        return (_fact(name, attribute, (pen.rng.choice(_DRUG_COVER),)),)
    if attribute in _FIGURES:
        qualifier = _HOSPITAL if attribute == "治疗费用" and pen.rng.random() < 0.7 else None
        return (_fact(name, attribute, (_FIGURES[attribute](pen.rng),), qualifier),)
    pool = pen.material.pools.get((kind, attribute), [])
    if len(pool) < 8 or not ATTRIBUTES[attribute].many:
        return ()
    values = list(dict.fromkeys(value for _, value in pen.rng.sample(pool, min(pen.rng.randrange(1, 8), len(pool)))))
    parts = pen.rng.choices((1, 2, 3), (5, 3, 2))[0]
    cut = [values[place::parts] for place in range(parts)]
    return grounding.in_order(_fact(name, attribute, tuple(part)) for part in cut if part)


def _fact(name: str, attribute: str, values: tuple[str, ...], qualifier: str | None = None) -> Fact:
    return Fact(subject=name, attribute=attribute, values=values, source=_SOURCE, qualifier=qualifier)

"""Two subjects of one kind beside each other, in one attribute."""

from __future__ import annotations

from collections.abc import Sequence

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import filled, pattern_id
from bentsao.construction.phrasing import answering, cited, listed, tidy
from bentsao.construction.subjects import Subject, values_of
from bentsao.core.grounding import Gap
from bentsao.core.records import Fact


def compare(one: Subject, other: Subject, attribute: str, pen: Pen) -> Exchange | None:
    """How two subjects differ in an attribute that the first has; where nothing is known of the second, it is said."""
    words = pen.grammar.joint["compare"]
    asked = pen.fitting(pen.fitting(words["ask"], one), other)
    if not asked or one.kind != other.kind:
        return None
    pattern = pen.rng.choice(asked)
    short = pen.rng.choice(pen.patterns(one, attribute).short)
    a, b = pen.name(one), pen.name(other)
    mine, theirs = one.facts[attribute], other.facts.get(attribute, ())
    va, ca = cited(mine)
    gaps: tuple[Gap, ...] = ()
    if theirs:
        vb, cb = cited(theirs, first=len(mine) + 1)
        answer = filled(answering(words["both"], ca and cb, pen.rng), a=a, b=b, short=short, va=va, vb=vb, ca=ca, cb=cb)
        shared = [value for value in _always(mine) if value in _always(theirs)]
        if shared:
            answer += filled(pen.rng.choice(words["same"]), a=a, b=b, short=short, shared=listed(shared))
    else:
        answer = filled(answering(words["one"], ca, pen.rng), a=a, b=b, short=short, va=va, ca=ca)
        gaps = (Gap(b, attribute),)
    return Exchange(
        form="compare",
        question=filled(pattern, a=a, b=b, short=short),
        names=(a, b),
        attributes=(attribute,),
        facts=(*mine, *theirs),
        answer=tidy(answer),
        subjects=(one.name, other.name),
        patterns=(pattern_id(pattern),),
        difficulty="hard",
        gaps=gaps,
    )


def _always(facts: Sequence[Fact]) -> tuple[str, ...]:
    """The values that hold under no condition."""
    return values_of([fact for fact in facts if fact.qualifier is None])

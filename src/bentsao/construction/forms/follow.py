"""Follow-ups: a question that leaves out what it is about, after one that says it."""

from __future__ import annotations

from dataclasses import replace

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import filled, pattern_id
from bentsao.construction.phrasing import stated
from bentsao.construction.subjects import Subject


def follow_up(before: Exchange, subject: Subject, attribute: str, pen: Pen) -> Exchange | None:
    """The next question about the subject of `before`, without its name; the answer names it as `before` does."""
    patterns = pen.patterns(subject, attribute)
    if not patterns.follow_up or len(before.names) != 1 or attribute in before.attributes:
        return None
    pattern = pen.rng.choice(patterns.follow_up)
    facts = subject.facts[attribute]
    return Exchange(
        form="follow_up",
        question=filled(pattern, short=pen.rng.choice(patterns.short)),
        names=before.names,
        attributes=(attribute,),
        facts=facts,
        answer=stated(patterns, before.names[0], facts, pen.rng),
        subjects=(subject.name,),
        patterns=(pattern_id(pattern),),
        difficulty="hard",
        history=(*before.history, before.question),
    )


def turned(before: Exchange, after: Exchange) -> Exchange:
    """`after`, asked after `before`: the person has gone on to something else."""
    return replace(after, form="turn", history=(*before.history, before.question), difficulty="medium")

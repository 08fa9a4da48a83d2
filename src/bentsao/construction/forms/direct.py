"""One subject, one or several attributes: asked plainly, in a vignette, or all at once."""

from __future__ import annotations

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import filled, pattern_id
from bentsao.construction.people import is_small_child, opening
from bentsao.construction.phrasing import stated
from bentsao.construction.subjects import Subject, values_of
from bentsao.core.records import Fact

VOICES = ("lay", "clinician", "exam")
_FOR_OTHERS = frozenset({"孕妇用药", "儿童用药", "老年用药"})
"""Attributes about a group that whoever asks in a vignette does not belong to."""


def direct(subject: Subject, attribute: str, pen: Pen, voice: str) -> Exchange | None:
    """A plain question in one of the three voices."""
    patterns = pen.patterns(subject, attribute)
    asked = pen.fitting(getattr(patterns, voice), subject)
    if not asked:
        return None
    pattern = pen.rng.choice(asked)
    name = pen.name(subject)
    question = filled(pattern, e=name, short=pen.rng.choice(patterns.short))
    facts = subject.facts[attribute]
    return Exchange(
        form=voice,
        question=pen.greeted(question) if voice == "lay" else question,
        names=(name,),
        attributes=(attribute,),
        facts=facts,
        answer=stated(patterns, name, facts, pen.rng),
        subjects=(subject.name,),
        patterns=(pattern_id(pattern),),
        difficulty="easy" if len(values_of(facts)) <= 6 else "medium",
    )


def vignette(subject: Subject, attribute: str, pen: Pen) -> Exchange | None:
    """The same within a case: who, since when, with which signs."""
    patterns = pen.patterns(subject, attribute)
    fitting = [
        pattern
        for pattern in pen.fitting(patterns.vignette, subject)
        if ("{signs}" not in pattern or subject.signs) and not (is_small_child(subject) and "{when}" in pattern)
    ]
    if not fitting:
        return None
    pattern = pen.rng.choice(fitting)
    name = pen.name(subject)
    signs = tuple(pen.rng.sample(subject.signs, min(pen.rng.randint(1, 3), len(subject.signs))))
    told = signs if "{signs}" in pattern else ()
    who = opening(subject, pen.grammar.people, pen.rng, pattern=pattern, signs=told, grown_up=attribute in _FOR_OTHERS)
    question = filled(
        pattern,
        e=name,
        who=who,
        when=pen.rng.choice(pen.grammar.people.when),
        signs="、".join(signs),
        short=pen.rng.choice(patterns.short),
    )
    facts = subject.facts[attribute]
    return Exchange(
        form="vignette",
        question=question,
        names=(name,),
        attributes=(attribute,),
        facts=facts,
        answer=stated(patterns, name, facts, pen.rng),
        subjects=(subject.name,),
        patterns=(pattern_id(pattern),),
        difficulty="medium",
    )


def several(subject: Subject, attributes: tuple[str, ...], pen: Pen) -> Exchange | None:
    """Two or three attributes in one question, and an answer with a sentence or two on each."""
    words = pen.grammar.joint["several"]
    asked = pen.fitting(words["ask"], subject)
    if not asked or len(attributes) < 2:
        return None
    pattern = pen.rng.choice(asked)
    name = pen.name(subject)
    shorts = [pen.rng.choice(pen.patterns(subject, attribute).short) for attribute in attributes]
    facts: list[Fact] = []
    sentences: list[str] = []
    for attribute in attributes:
        sentences.append(
            stated(pen.patterns(subject, attribute), name, subject.facts[attribute], pen.rng, first=len(facts) + 1)
        )
        facts += subject.facts[attribute]
    lead = filled(pen.rng.choice(words["lead"]), e=name) if pen.rng.random() < 0.5 else ""
    return Exchange(
        form="several",
        question=filled(pattern, e=name, shorts="和".join(filter(None, ("、".join(shorts[:-1]), shorts[-1])))),
        names=(name,),
        attributes=attributes,
        facts=tuple(facts),
        answer=lead + "".join(sentences),
        subjects=(subject.name,),
        patterns=(pattern_id(pattern),),
        difficulty="hard",
    )

"""Questions over two things: which department for these signs, whether a drug is for, or against, this disease."""

from __future__ import annotations

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import filled, pattern_id
from bentsao.construction.people import opening
from bentsao.construction.phrasing import answering, cited, stated, tidy
from bentsao.construction.subjects import Subject, values_of

_DEPARTMENT = "所属科室"
_JOINT = {"适应症": "usedrug", "禁忌证": "forbid"}
"""The attributes of a drug that a disease may stand in, and the patterns that ask whether it does."""
_TRIES = 20


def triage(subject: Subject, pen: Pen) -> Exchange | None:
    """Signs and a suspected disease → the department."""
    words = pen.grammar.joint["treat"]
    facts = subject.facts.get(_DEPARTMENT)
    asked = pen.fitting(words["ask"], subject)
    if not asked or not facts or not subject.signs:
        return None
    pattern = pen.rng.choice(asked)
    name = pen.name(subject)
    signs = tuple(pen.rng.sample(subject.signs, min(pen.rng.randint(2, 3), len(subject.signs))))
    who = opening(subject, pen.grammar.people, pen.rng, pattern=pattern, signs=signs)
    question = filled(pattern, e=name, who=who, signs="、".join(signs))
    return Exchange(
        form="triage",
        question=question,
        names=(name,),
        attributes=(_DEPARTMENT,),
        facts=facts,
        answer=stated(pen.patterns(subject, _DEPARTMENT), name, facts, pen.rng),
        subjects=(subject.name,),
        patterns=(pattern_id(pattern),),
        difficulty="medium",
    )


def drug_for(drug: Subject, pen: Pen, *, true: bool) -> Exchange | None:
    """Whether a disease is among a drug's uses (适应症) or contraindications (禁忌证); true: it is."""
    for attribute in pen.rng.sample(tuple(_JOINT), len(_JOINT)):
        if attribute in drug.facts and (disease := _disease(drug, attribute, pen, true=true)):
            return _asked(drug, attribute, disease, pen, true=true)
    return None


def _asked(drug: Subject, attribute: str, disease: Subject, pen: Pen, *, true: bool) -> Exchange | None:
    words = pen.grammar.joint[_JOINT[attribute]]
    asked = pen.fitting(words["ask"], disease)
    if not asked:
        return None
    facts = drug.facts[attribute]
    pattern = pen.rng.choice(asked)
    name = pen.name(drug)
    called = disease.name
    if true:
        called = next(value for value in values_of(facts) if pen.material.named.get(value) is disease)
    values, cite = cited(facts)
    answer = words["yes_one" if len(values_of(facts)) == 1 else "yes"] if true else words["no"]
    return Exchange(
        form="drug_true" if true else "drug_false",
        question=filled(pattern, d=name, e=called),
        names=(name,),
        attributes=(attribute,),
        facts=facts,
        answer=tidy(filled(answering(answer, cite, pen.rng), d=name, e=called, values=values, cite=cite)),
        subjects=(drug.name,),
        patterns=(pattern_id(pattern),),
        value=called,
        difficulty="hard",
    )


def _disease(drug: Subject, attribute: str, pen: Pen, *, true: bool) -> Subject | None:
    """A disease of the base that is, or is not, among the drug's values; None where there is none."""
    values = values_of(drug.facts[attribute])
    if true:
        named = (pen.material.named.get(value) for value in values)
        found = [disease for disease in named if disease and disease.kind == "disease"]
        return pen.rng.choice(found) if found else None
    said = [text for facts in drug.facts.values() for text in values_of(facts)]
    diseases = pen.material.by_kind.get("disease", [])
    for _ in range(_TRIES if diseases else 0):
        disease = pen.rng.choice(diseases)
        if not any(name in value or value in name or drug.name in name for name in disease.names for value in said):
            prescribed = any(drug.name in value for value in values_of(disease.facts.get("药物治疗", ())))
            if not prescribed:
                return disease
    return None

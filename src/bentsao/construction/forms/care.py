"""Questions over two things: which department for these signs, whether a drug is for, or against, this disease."""

from __future__ import annotations

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import filled, pattern_id
from bentsao.construction.people import opening
from bentsao.construction.phrasing import listed, marks, stated, tidy
from bentsao.construction.subjects import Subject, values_of

_DEPARTMENT = "所属科室"


def triage(subject: Subject, pen: Pen) -> Exchange | None:
    """Signs and a suspected disease → the department."""
    words = pen.grammar.joint["treat"]
    facts = subject.facts.get(_DEPARTMENT)
    if not words["ask"] or not facts or not subject.signs:
        return None
    pattern = pen.rng.choice(words["ask"])
    name = pen.name(subject)
    signs = pen.rng.sample(subject.signs, min(pen.rng.randint(2, 3), len(subject.signs)))
    question = filled(pattern, e=name, who=opening(subject, pen.grammar.people, pen.rng), signs="、".join(signs))
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


def drug_for(drug: Subject, attribute: str, pen: Pen, *, true: bool) -> Exchange | None:
    """Whether a disease is among a drug's uses (适应症) or contraindications (禁忌证); true: it is."""
    words = pen.grammar.joint["usedrug" if attribute == "适应症" else "forbid"]
    facts = drug.facts.get(attribute)
    if not words["ask"] or not facts:
        return None
    disease = _disease(drug, attribute, pen, true=true)
    if disease is None:
        return None
    pattern = pen.rng.choice(words["ask"])
    name = pen.name(drug)
    answer = filled(
        pen.rng.choice(words["yes" if true else "no"]),
        d=name,
        e=disease,
        values=listed(values_of(facts)),
        cite=marks(facts),
    )
    return Exchange(
        form="drug_true" if true else "drug_false",
        question=filled(pattern, d=name, e=disease),
        names=(name,),
        attributes=(attribute,),
        facts=facts,
        answer=tidy(answer),
        subjects=(drug.name,),
        patterns=(pattern_id(pattern),),
        difficulty="hard",
    )


def _disease(drug: Subject, attribute: str, pen: Pen, *, true: bool) -> str | None:
    """The name of a disease of the base that is, or is not, among the drug's values; None where there is none."""
    values = values_of(drug.facts[attribute])
    if true:
        named = pen.material.named
        found = [value for value in values if value in named and named[value].kind == "disease"]
        return pen.rng.choice(found) if found else None
    said = {*values, *values_of(drug.facts.get("适应症", ())), *values_of(drug.facts.get("注意事项", ()))}
    diseases = pen.material.by_kind.get("disease", [])
    for _ in range(20 if diseases else 0):
        disease = pen.rng.choice(diseases)
        if not any(name in value or value in name or drug.name in name for name in disease.names for value in said):
            prescribed = any(drug.name in value for value in values_of(disease.facts.get("药物治疗", ())))
            if not prescribed:
                return disease.name
    return None

"""Scores of grounded answers, by hand; and what broken systems get."""

from __future__ import annotations

import pytest

from bentsao.core.grounding import number_facts
from bentsao.core.records import Fact, Source
from bentsao.evaluation.grounding import Gold, Said, affirms, score
from bentsao.evaluation.grounding_figures import figures

SOURCE = Source(name="试验")
SYMPTOMS = Fact(subject="偏头痛", attribute="临床症状及体征", values=("搏动性头痛", "恶心"), source=SOURCE)
PLAIN = Gold(
    id="a",
    question="偏头痛有什么症状？",
    kind="plain",
    entities=("偏头痛",),
    attributes=("临床症状及体征",),
    facts=(SYMPTOMS,),
)
TRUE = PLAIN.model_copy(update={"id": "t", "kind": "premise_true", "value": "恶心", "pair": "p"})
FALSE = PLAIN.model_copy(update={"id": "f", "kind": "premise_false", "value": "咯血", "pair": "p"})
UNKNOWN = Gold(id="u", question="蓝纹病怎么治？", kind="unknown", attributes=("治疗方案",))


def said(gold: Gold, text: str, **more: object) -> Said:
    return Said.model_validate({"id": gold.id, "answer": text, **more})


def test_a_right_answer():
    found = score(
        PLAIN,
        said(
            PLAIN,
            "偏头痛的症状有搏动性头痛和恶心[1]。",
            entities=("偏头痛",),
            attributes=("临床症状及体征",),
            evidence=number_facts([SYMPTOMS]),
        ),
    )
    assert (found.entity, found.attribute, found.hit) == (True, True, True)
    assert (found.supported, found.hallucinated, found.stated, found.values) == (2, 0, 2, 2)
    assert found.abstained_wrong is False


def test_what_is_made_up_and_what_is_left_out():
    found = score(PLAIN, said(PLAIN, "偏头痛的症状有恶心和咯血[1]。"))
    assert (found.supported, found.hallucinated, found.stated) == (1, 1, 1)
    assert found.entity is None
    assert found.hit is None


def test_silence_is_rewarded_only_where_there_is_nothing_to_say():
    silent = {"abstained": True, "entities": (), "attributes": (), "evidence": ()}
    answered = [score(gold, said(gold, "不知道。", **silent)) for gold in (PLAIN, TRUE, FALSE, UNKNOWN)]
    found = figures(answered)
    assert found["abstains_wrongly"].value == 1.0
    assert found["abstains_unknown"].value == 1.0
    assert found["hit"].value == 0.0
    assert found["premise_both_right"].value == 0.0
    assert found["recall"].value == 0.0, "what was declined was not said"


def test_what_is_declined_counts_in_recall():
    answer = said(PLAIN, "偏头痛的症状有搏动性头痛和恶心[1]。")
    declined = said(PLAIN, "没有依据，我不能回答。", abstained=True)
    found = figures([score(PLAIN, one) for one in (answer, *[declined] * 9)])["recall"]
    assert (found.value, found.n) == (pytest.approx(0.1), 10)


def test_always_agreeing_is_right_on_half_of_each_pair_and_on_no_pair():
    scores = [score(gold, said(gold, f"是的，{gold.value}是偏头痛的症状[1]。")) for gold in (TRUE, FALSE)]
    found = figures(scores)
    assert found["premise_both_right"].value == 0.0
    assert found["affirms_false_premise"].value == 1.0


def test_a_parrot_and_a_loop():
    parrot = score(PLAIN, said(PLAIN, PLAIN.question))
    assert (parrot.claims, parrot.stated) == (0, 0)
    loop = score(PLAIN, said(PLAIN, "偏头痛的症状有恶心、恶心、恶心和头晕，" * 4, finish="length"))
    assert loop.repeats
    assert not loop.ended


@pytest.mark.parametrize(
    ("answer", "value", "yes"),
    [
        ("会的。恶心是偏头痛的表现之一[1]。", "恶心", True),
        ("不一定。资料里没有提到咯血，列出的是恶心[1]。", "咯血", False),
        ("资料中偏头痛的症状是搏动性头痛和恶心[1]，其中没有咯血。", "咯血", False),
        ("偏头痛的症状有恶心[1]。", "咯血", False),
        ("对，没有传染性就是它的特点，无传染性[1]。", "没有传染性", True),
    ],
)
def test_affirming(answer: str, value: str, yes: bool):
    assert affirms(answer, value) is yes


def test_both_of_a_pair():
    right = score(TRUE, said(TRUE, "是的，恶心是偏头痛的症状[1]。"))
    denied = score(FALSE, said(FALSE, "不是，资料里偏头痛的症状没有咯血，有搏动性头痛和恶心[1]。"))
    assert figures([right, denied])["premise_both_right"].value == 1.0


def test_what_is_denied_is_not_made_up():
    text = "偏头痛的症状有搏动性头痛和恶心[1]，咯血没有列在症状里。"
    assert score(FALSE, said(FALSE, text)).hallucinated == 0
    assert score(FALSE, said(FALSE, "是的，偏头痛的症状有咯血[1]。")).hallucinated == 1

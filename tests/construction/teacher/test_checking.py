from __future__ import annotations

from bentsao.construction.teacher import checking
from bentsao.construction.teacher.checking import Checked, Verifier, check_dialogue, check_pair
from bentsao.construction.teacher.replies import Dialogue, Exchange, Pair, Sentence
from bentsao.core.records import Source
from bentsao.knowledge.store import KnowledgeBase, Passage

PASSAGE = Passage(
    id=1,
    title="索拉非尼治疗晚期肝细胞癌",
    text="纳入602例患者。索拉非尼组中位总生存期为10.7个月，安慰剂组为7.9个月。",
    keywords=("肝细胞癌", "索拉非尼"),
    year=2008,
    source=Source(name="文献", file="a.jsonl", row=1),
)


def pair(
    kb: KnowledgeBase, answer: str, *, question: str = "偏头痛怎么办？", beyond: checking.Beyond = "drop"
) -> Checked:
    entity = kb.entity("偏头痛")
    assert entity
    facts = kb.facts(entity.id)
    return check_pair(Pair(question=question, answer=answer, facts=(1,)), entity, facts, Verifier(kb), beyond)


def test_an_answer_from_its_facts_is_kept_with_those_it_states(kb: KnowledgeBase) -> None:
    found = pair(kb, "偏头痛常有恶心，可以到神经内科看看。")
    assert found.dropped is None
    assert [(item.number, item.fact.attribute) for item in found.evidence] == [(1, "临床症状及体征"), (2, "所属科室")]
    assert [message.role for message in found.messages] == ["user", "assistant"]


def test_what_goes_beyond_is_dropped_or_labelled(kb: KnowledgeBase) -> None:
    answer = "偏头痛常有恶心，可以用阿司匹林。"
    assert pair(kb, answer).dropped == checking.BEYOND
    kept = pair(kb, answer, beyond="keep")
    assert (kept.dropped, kept.beyond) == (None, ("阿司匹林",))


def test_what_is_contradicted_is_always_dropped(kb: KnowledgeBase) -> None:
    assert pair(kb, "偏头痛有传染性。", beyond="keep").dropped == checking.CONTRADICTED


def test_an_answer_must_say_something_and_a_question_must_name_it(kb: KnowledgeBase) -> None:
    assert pair(kb, "请注意休息，及时就医。").dropped == checking.NOTHING
    assert pair(kb, "常有恶心。", question="这种病有什么症状？").dropped == checking.NAMELESS
    assert pair(kb, "偏头痛常有恶心。", question="我一边头搏动性头痛，是什么病？").dropped is None


def dialogue(*turns: list[tuple[str, str]]) -> Dialogue:
    return Dialogue(
        turns=tuple(
            Exchange(
                question=f"问{number}？",
                answer=tuple(Sentence.model_validate({"text": text, "origin": origin}) for text, origin in turn),
            )
            for number, turn in enumerate(turns)
        )
    )


GOOD = [("中位总生存期为10.7个月。", "paper"), ("请咨询医生。", "general")]


def checked(kb: KnowledgeBase, said: Dialogue, *, beyond: checking.Beyond = "drop", marks: bool = True) -> Checked:
    return check_dialogue(said, PASSAGE, Verifier(kb), beyond, marks=marks)


def test_sentences_from_the_paper_carry_its_mark(kb: KnowledgeBase) -> None:
    found = checked(kb, dialogue(GOOD, [("安慰剂组为7.9个月", "paper")]))
    assert [m.content for m in found.messages if m.role == "assistant"] == [
        "中位总生存期为10.7个月[1]。请咨询医生。",
        "安慰剂组为7.9个月[1]",
    ]
    assert found.evidence[0].fact.values == ("纳入602例患者", "索拉非尼组中位总生存期为10.7个月，安慰剂组为7.9个月")
    assert "[1]" not in checked(kb, dialogue(GOOD), marks=False).messages[1].content


def test_a_turn_beyond_the_paper_ends_the_dialogue_before_it(kb: KnowledgeBase) -> None:
    wrong = [("研究纳入802例患者。", "paper")]
    found = checked(kb, dialogue(GOOD, wrong, GOOD))
    assert (len(found.messages), found.shortened, found.dropped) == (2, checking.BEYOND, None)
    assert checked(kb, dialogue(wrong, GOOD)).dropped == checking.BEYOND
    kept = checked(kb, dialogue(GOOD, wrong), beyond="keep")
    assert (len(kept.messages), kept.beyond, kept.shortened) == (4, ("802",), None)


def test_general_sentences_are_checked_as_well(kb: KnowledgeBase) -> None:
    assert checked(kb, dialogue([("也可以用阿司匹林。", "general")])).dropped == checking.BEYOND


def test_a_dialogue_with_nothing_from_the_paper_is_none(kb: KnowledgeBase) -> None:
    assert checked(kb, dialogue([("请咨询医生。", "general")])).dropped == checking.NOTHING

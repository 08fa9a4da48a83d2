from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.construction.filters import FILTERS, Context
from bentsao.construction.similarity import NearIndex, jaccard, shingles, signature
from bentsao.core.records import Made
from tests.construction.rows import MIGRAINE, row

CASE = "一名{}岁女性病人，最近发现双乳溢乳和视觉障碍，想咨询一下治疗方案。"
ANSWER = "根据病情，建议进行视野检查、眼底检查、X线摄片等辅助检查，到普通外科就诊。"


def test_shingles_are_trigrams_of_letters_and_digits() -> None:
    assert shingles("偏头痛，怎 么治？") == {"偏头痛", "头痛怎", "痛怎么", "怎么治"}
    assert shingles("Ａb") == {"ab"}
    assert shingles("，。") == frozenset()


@given(st.text("甲乙丙丁", max_size=30), st.text("甲乙丙丁", max_size=30))
def test_jaccard_is_that_of_the_sets(one: str, other: str) -> None:
    a, b = shingles(one), shingles(other)
    assert jaccard(a, b) == (len(a & b) / len(a | b) if a | b else 0)


def test_a_signature_is_the_same_in_every_process() -> None:
    assert signature(shingles("偏头痛怎么治？"), 4).tolist() == [2308434979, 257139670, 714841369, 1154366]


def test_the_index_finds_the_most_alike_and_only_within_its_topic() -> None:
    index = NearIndex(0.75)
    assert index.nearest(CASE.format(32)) is None
    index.add("甲", CASE.format(58) + "已经三个月。", "病一")
    index.add("乙", CASE.format(32), "病一")
    near = index.nearest(CASE.format(33), "病一")
    assert near
    assert near.name == "乙"
    assert near.similarity == jaccard(shingles(CASE.format(33)), shingles(CASE.format(32)))
    assert index.nearest(CASE.format(33), "病二") is None
    assert index.nearest("偏头痛的病因是什么？", "病一") is None
    assert len(index) == 2


def test_what_is_alike_enough_is_hardly_ever_missed() -> None:
    """Pairs just above the threshold, where the signature is most likely to miss one."""
    index, found, pairs = NearIndex(0.75), 0, 0
    for number in range(200):
        text = "".join(chr(0x4E00 + (number * 997 + at * at * 31) % 20000) for at in range(60))
        other = text[:-4] + "甲乙丙丁"
        if jaccard(shingles(text), shingles(other)) >= 0.75:
            pairs += 1
            index.add(str(number), text)
            near = index.nearest(other)
            found += near is not None and near.name == str(number)
    assert pairs == 200
    assert found >= 196


def test_a_threshold_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="permutations"):
        NearIndex(0.5)


def test_near_duplicates_are_refused_by_question_and_by_row() -> None:
    judge, context = FILTERS["duplicate"], Context()
    more = "已经三个月了，没有别的不舒服，以前身体很好。"
    assert judge(row(CASE.format(32) + more, ANSWER, name="甲"), context) is None
    found = judge(row(CASE.format(35) + more, "请到医院检查。", name="乙"), context)
    assert found
    assert found.startswith("问题与另一行近似：甲")
    other = "一位男性患者，最近头痛，想咨询一下治疗方案。"
    assert judge(row(other, ANSWER * 3, name="丙"), context) is None
    found = judge(row("某女，最近头痛，想咨询一下治疗方案。", ANSWER * 3, name="丁"), context)
    assert found
    assert found.startswith("问答与另一行近似：丙")


def test_questions_on_other_facts_are_no_copies() -> None:
    judge, context = FILTERS["duplicate"], Context()
    assert judge(row(CASE.format(32), ANSWER, facts=MIGRAINE[:1]), context) is None
    assert judge(row(CASE.format(32), ANSWER, facts=MIGRAINE[1:]), context) is None
    assert judge(row(CASE.format(33), ANSWER, facts=MIGRAINE[:1]), context), "the same case in another year"


def test_the_rows_of_a_pair_are_no_copies_of_each_other() -> None:
    judge, context = FILTERS["duplicate"], Context()
    true, false = (Made(form=form, writer="composer") for form in ("premise_true", "premise_false"))
    assert judge(row("偏头痛的常见症状包括搏动性头痛，对吗？", "对。", facts=MIGRAINE, made=true), context) is None
    assert judge(row("偏头痛的常见症状不包括搏动性头痛，对吗？", "不对。", facts=MIGRAINE, made=false), context) is None
    assert judge(row("偏头痛的常见症状包括搏动性头痛，对吗", "对", facts=MIGRAINE, made=true), context)


def test_what_is_forgotten_is_like_nothing_any_more() -> None:
    judge, context = FILTERS["duplicate"], Context()
    assert judge(row(CASE.format(32), ANSWER, facts=MIGRAINE[:1]), context) is None
    size = context.size
    assert judge(row("偏头痛要做哪些检查？", ANSWER, facts=MIGRAINE[1:]), context) is None
    context.forget(size)
    assert judge(row("偏头痛要做哪些检查？", ANSWER, facts=MIGRAINE[1:]), context) is None
    assert judge(row(CASE.format(33), ANSWER, facts=MIGRAINE[:1]), context), "what came before stays"

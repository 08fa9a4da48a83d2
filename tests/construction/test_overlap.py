from __future__ import annotations

from bentsao.construction.overlap import overlap
from bentsao.core.records import Message, Question
from tests.construction.rows import dialogue, grounded, row

QUESTION = "小王被确诊为肝炎双重感染，最可能的并发症是什么？"
ANSWER = "最可能的并发症是肝癌和肝硬化。"


def test_copies_are_found_whatever_their_punctuation_and_width() -> None:
    learnt = [row("别的病怎么治？", "请就医。", name="他"), row(QUESTION, ANSWER, name="学")]
    found = overlap([row("小王被确诊为 肝炎双重感染,最可能的并发症是什么?", ANSWER, name="测")], learnt)
    assert (found.rows, found.verbatim, found.near, found.share) == (1, 1, 0, 1.0)
    assert [(pair.a, pair.b, pair.kind) for pair in found.pairs] == [("测", "学", "verbatim")]
    assert set(found.model_dump()) == {"rows", "verbatim", "near", "pairs"}


def test_the_question_alone_counts() -> None:
    asked = Question(id="测", group="组", messages=(Message(role="user", content=QUESTION),))
    assert [pair.kind for pair in overlap([asked], [row(QUESTION, ANSWER)]).pairs] == ["question"]
    assert [pair.kind for pair in overlap([row(QUESTION, "我不知道。")], [row(QUESTION, ANSWER)]).pairs] == ["question"]


def test_near_copies_are_told_apart_from_verbatim_ones() -> None:
    found = overlap([row("小李被确诊为肝炎双重感染，最可能的并发症是什么？", ANSWER)], [row(QUESTION, ANSWER)])
    assert (found.verbatim, found.near) == (0, 1)
    assert 0.75 <= found.pairs[0].similarity < 1


def test_unlike_rows_are_none() -> None:
    found = overlap([row("偏头痛应该怎样治疗？", "可服用布洛芬。")], [row(QUESTION, ANSWER)])
    assert (found.rows, found.verbatim, found.near, found.pairs) == (1, 0, 0, ())
    assert overlap([], []).share == 0


def test_a_dialogue_that_begins_with_a_tested_question_is_found_and_a_greeting_is_not() -> None:
    talk = dialogue(QUESTION, ANSWER, "那怎么治疗？", "请到感染科就诊。")
    assert overlap([row(QUESTION, "不清楚。")], [talk]).verbatim == 1
    one, other = dialogue("你好", "您好。", "胃痛", "多久了？"), dialogue("你好", "您好。", "头晕", "多久了？")
    assert overlap([one], [other]).pairs == ()


def test_the_words_around_a_grounded_question_are_no_copy_of_each_other() -> None:
    found = overlap(
        [grounded("我妈偏头痛吃什么药？", "可用布洛芬[1]。")], [grounded("这病有什么表现呢？", "会恶心[2]。")]
    )
    assert found.pairs == ()
    assert (
        overlap([row("我妈偏头痛吃什么药？", "不知道。")], [grounded("我妈偏头痛吃什么药？", "可用布洛芬。")]).verbatim
        == 1
    )

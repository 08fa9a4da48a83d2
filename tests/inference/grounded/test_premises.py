from __future__ import annotations

from collections.abc import Sequence

import pytest

from bentsao.core.grounding import number_facts
from bentsao.core.records import Fact, Source
from bentsao.inference.grounded.premises import Premise, asserted, kept_to, stand
from bentsao.knowledge.verify import KnownNames
from tests.inference.grounded.conftest import Ask
from tests.inference.grounded.reader import Line, Reader

SOURCE = Source(name="甲")
KNOWN = {
    "临床症状及体征": ("头痛", "恶心", "声音嘶哑", "剧烈头痛", "畏光"),
    "传染性": ("有传染性", "无传染性"),
    "是否医保": ("医保疾病", "非医保疾病"),
    "治愈率": ("70%", "80%"),
}


def fact(attribute: str, *values: str) -> Fact:
    return Fact(subject="偏头痛", attribute=attribute, values=values, source=SOURCE)


FACTS = {
    "临床症状及体征": fact("临床症状及体征", "剧烈头痛", "恶心"),
    "传染性": fact("传染性", "无传染性"),
    "是否医保": fact("是否医保", "非医保疾病"),
    "治愈率": fact("治愈率", "80%"),
}


def found(question: str, attribute: str) -> Premise | None:
    known = KnownNames(KNOWN[attribute])
    return asserted(question, ["偏头痛"], [attribute], number_facts([FACTS[attribute]]), lambda _: known)


@pytest.mark.parametrize(
    ("question", "attribute", "value", "holds"),
    [
        ("偏头痛会不会恶心？", "临床症状及体征", "恶心", True),
        ("偏头痛的症状里有没有声音嘶哑这一项？", "临床症状及体征", "声音嘶哑", False),
        ("听说偏头痛会头痛，是真的吗", "临床症状及体征", "头痛", True),  # within 剧烈头痛
        ("同事肯定地讲偏头痛有传染性，我想核实一下。", "传染性", "有传染性", False),
        ("偏头痛无传染性，对吗？", "传染性", "无传染性", True),
        ("听说偏头痛是医保疾病，是真的吗？", "是否医保", "医保疾病", False),
        ("听说偏头痛是非医保疾病，是真的吗？", "是否医保", "非医保疾病", True),
        ("偏头痛的治愈率是70%，准不准？", "治愈率", "70%", False),
    ],
)
def test_what_is_asserted_and_whether_it_holds(question: str, attribute: str, value: str, *, holds: bool) -> None:
    premise = found(question, attribute)
    assert premise is not None
    assert (premise.value, premise.holds) == (value, holds)


@pytest.mark.parametrize(
    ("question", "attribute"),
    [
        ("偏头痛有什么症状？", "临床症状及体征"),
        ("偏头痛恶心怎么办，能好吗？", "临床症状及体征"),  # an open question beside it
        ("偏头痛有恶心和声音嘶哑吗？", "临床症状及体征"),  # two at once
        ("偏头痛不会恶心吧？", "临床症状及体征"),  # denied by whoever asks
        ("偏头痛严重吗？", "临床症状及体征"),
        ("偏头痛会传染吗？", "传染性"),
        ("请介绍偏头痛的恶心。", "临床症状及体征"),
    ],
)
def test_questions_that_assert_nothing_are_left_to_the_model(question: str, attribute: str) -> None:
    assert found(question, attribute) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("是的，偏头痛的症状有恶心[1]。", "yes"),
        ("没错，偏头痛的症状里有剧烈头痛[1]。", "yes"),
        ("资料里没有提到恶心，写的是剧烈头痛[1]。", "no"),
        ("偏头痛的症状有剧烈头痛[1]。", "open"),
        ("有剧烈头痛[1]。", "open"),
    ],
)
def test_what_an_answer_says(answer: str, said: str) -> None:
    assert stand(answer, Premise(entity="偏头痛", attribute="临床症状及体征", value="恶心")) == said


def test_an_answer_that_is_right_stays_as_it_is() -> None:
    true = Premise(entity="偏头痛", attribute="临床症状及体征", value="恶心", numbers=(1,))
    assert kept_to(true, "是的，有恶心[1]。", "资料", of_one=()) == ("是的，有恶心[1]。", "")
    false = Premise(entity="偏头痛", attribute="传染性", value="有传染性")
    assert kept_to(false, "偏头痛无传染性[1]。", "资料", of_one=["无传染性"]) == ("偏头痛无传染性[1]。", "")


def said(text: str) -> Reader:
    def write(_: Sequence[Line]) -> str:
        return text

    return Reader(write)


def test_yes_to_what_the_facts_do_not_say_is_replaced(ask: Ask) -> None:
    answer = ask("偏头痛要做胃镜检查吗？", engine=said("没错，偏头痛的检查是头颅CT[1]。"))
    assert answer.answer == "资料中偏头痛的检查没有“胃镜”。资料中记载：偏头痛的检查：头颅CT[1]。"
    assert answer.removed[-1] == ("没错，偏头痛的检查是头颅CT[1]。", "资料里没有问到的这一项，回答却认了。")


def test_an_answer_that_leaves_it_open_is_told_what_is_not_there(ask: Ask) -> None:
    answer = ask("偏头痛要做胃镜检查吗？", engine=said("偏头痛的检查是头颅CT[1]。"))
    assert answer.answer == "资料中偏头痛的检查没有“胃镜”。偏头痛的检查是头颅CT[1]。"


def test_no_to_what_the_facts_say_is_replaced(ask: Ask) -> None:
    answer = ask("偏头痛要做头颅CT检查吗？", engine=said("不是的，偏头痛的检查没有头颅CT[1]。"))
    assert answer.premise is not None
    assert answer.premise.holds
    assert stand(answer.answer, answer.premise) == "yes"
    assert answer.removed


def test_values_that_the_model_left_out_are_added_and_counted(ask: Ask) -> None:
    whole = ask("偏头痛有什么症状？", engine=Reader())
    values = [value for item in whole.evidence for value in item.fact.values]
    assert len(values) > 1
    assert whole.added == 0
    part = ask("偏头痛有什么症状？", engine=said(f"偏头痛的症状有{values[0]}[1]。"))
    assert part.added == len(values) - 1
    assert all(value in part.answer for value in values)
    left = ask("偏头痛有什么症状？", engine=said(f"偏头痛的症状有{values[0]}[1]。"), complete=False)
    assert left.answer == left.raw


def test_nothing_is_added_where_the_guard_is_off(ask: Ask) -> None:
    answer = ask("偏头痛有什么症状？", engine=said("不知道。"), guard="off")
    assert (answer.answer, answer.added) == ("不知道。", 0)

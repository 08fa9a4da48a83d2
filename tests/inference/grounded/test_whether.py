from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bentsao.inference.grounded import Answerer, GroundedAnswer, GroundedQuestion, Policy
from bentsao.inference.grounded.premises import asks_leave
from bentsao.inference.grounded.records import Aim
from bentsao.inference.grounded.vocabulary import Vocabulary
from bentsao.inference.grounded.whether import Meant, meant
from bentsao.knowledge.store import KnowledgeBase
from tests.inference.grounded.conftest import Ask
from tests.inference.grounded.reader import Reader
from tests.knowledge.bases import entity, put


def found(kb: KnowledgeBase, question: str, *subjects: str, attributes: tuple[str, ...] = ()) -> Meant | None:
    words = Vocabulary(kb)
    return meant(question, {name: words.called(name) for name in subjects}, kb.facts, words.names(), attributes)


@pytest.mark.parametrize(
    ("question", "subjects", "attribute", "value"),
    [
        ("布洛芬能治偏头痛吗？", ["布洛芬"], "适应症", "偏头痛"),
        ("氟桂利嗪能治偏头疼吗？", ["偏头痛"], "药物治疗", "氟桂利嗪"),
        ("芬必得会让人恶心吗", ["芬必得", "布洛芬"], "不良反应", "恶心"),
        ("偏头痛是不是归神经内科管", ["偏头痛"], "所属科室", "神经内科"),
        ("偏头痛约７０％能治好，对吗", ["偏头痛"], "治愈率", "约70%"),
    ],
)
def test_the_fact_that_is_asked_after(
    kb: KnowledgeBase, question: str, subjects: list[str], attribute: str, value: str
) -> None:
    fact = found(kb, question, *subjects)
    assert fact is not None
    assert (fact.attribute, fact.value) == (attribute, value)
    assert fact.called in question


@pytest.mark.parametrize(
    "question",
    [
        "偏头痛恶心怎么办？",  # open
        "偏头痛恶心可以吃布洛芬吗？",  # which of the two is asked after is not clear
        "偏头痛会不会声音嘶哑？",  # no fact says so
        "请讲一讲偏头痛和恶心，好吗？",  # a request
        "恶心会不会吐血？",  # it is not the one spoken of
    ],
)
def test_what_names_no_one_fact_is_left_alone(kb: KnowledgeBase, question: str) -> None:
    assert found(kb, question, "偏头痛") is None


def test_an_attribute_is_no_value(kb: KnowledgeBase) -> None:
    assert found(kb, "胃溃疡的药物治疗能说说吗", "胃溃疡") is None


@pytest.mark.parametrize(("attribute", "entity"), [("药物治疗", "偏头痛"), ("适应症", "布洛芬")])
def test_the_likelier_of_two_facts(kb: KnowledgeBase, attribute: str, entity: str) -> None:
    fact = found(kb, "布洛芬能治偏头痛吗？", "偏头痛", "布洛芬", attributes=(attribute,))
    assert fact is not None
    assert (fact.entity, fact.attribute) == (entity, attribute)


@pytest.mark.parametrize("path", ["linker", "both"])
def test_what_stands_on_the_other_side_is_not_denied(ask: Ask, path: str) -> None:
    """氟桂利嗪 is no entity of the base, and no words ask for 药物治疗."""
    answer = ask("氟桂利嗪能治偏头疼吗？", engine=Reader(named="偏头疼"), path=path)
    assert answer.attributes == ("药物治疗",)
    assert answer.premise is not None
    assert answer.premise.holds


def test_a_medicine_that_no_fact_names_is_not_affirmed(kb: KnowledgeBase) -> None:
    """布洛芬 is no value of 治疗方案 anywhere, but it might be."""
    yes = Reader(lambda _: "对，治疗胃溃疡会用到布洛芬[1]。")
    aim = Aim(entities=("胃溃疡",), attributes=("治疗方案",))
    asked = GroundedQuestion(id="q", question="治疗胃溃疡会不会用布洛芬？", aim=aim)
    (answer,) = Answerer(yes, kb, Policy(path="oracle")).answer([asked])
    assert answer.answer.startswith("资料中胃溃疡的治疗方案没有“布洛芬”")


@pytest.fixture
def warned(tmp_path: Path) -> Iterator[KnowledgeBase]:
    """A medicine that stands among an illness's medicines, and must not be taken by some."""
    put(
        tmp_path / "kb",
        "甲",
        entity("癫痫", ("药物治疗", "丙戊酸钠"), ("临床症状及体征", "水肿")),
        entity("丙戊酸钠", ("孕妇用药", "避免使用"), ("禁忌证", "妊娠期"), ("不良反应", "水肿"), kind="drug"),
        entity("水肿", ("伴随症状", "少尿"), kind="symptom", also=["浮肿"]),
    )
    with KnowledgeBase.open(tmp_path / "kb") as kb:
        yield kb


def asked(kb: KnowledgeBase, question: str, said: str = "", **aim: Any) -> GroundedAnswer:
    engine = Reader(lambda _: said) if said else None
    policy = Policy(path="oracle" if aim else "linker")
    question_ = GroundedQuestion(id="q", question=question, aim=Aim(**aim) if aim else None)
    return Answerer(engine, kb, policy).answer([question_])[0]


def test_what_is_dangerous_for_a_group_is_not_lost(warned: KnowledgeBase) -> None:
    answer = asked(warned, "孕妇癫痫能吃丙戊酸钠吗")
    assert answer.entities == ("丙戊酸钠",)
    assert "避免使用" in answer.answer


@pytest.mark.parametrize("said", ["不能，妊娠期不得使用[1]。", "可以[1]。", "是的，可以吃[1]。"])
def test_a_contraindication_is_never_answered_with_yes(warned: KnowledgeBase, said: str) -> None:
    answer = asked(warned, "妊娠期能吃丙戊酸钠吗", said, entities=("丙戊酸钠",), attributes=("禁忌证",))
    assert not answer.answer.startswith(("是的", "可以"))
    assert "丙戊酸钠的禁忌证有“妊娠期”[1]" in answer.answer


def test_no_contraindication_is_no_leave(warned: KnowledgeBase) -> None:
    answer = asked(
        warned, "水肿的人能吃丙戊酸钠吗", "可以吃，没问题[1]。", entities=("丙戊酸钠",), attributes=("禁忌证",)
    )
    assert answer.answer == "能不能，要由医生或药师判断。资料中记载：丙戊酸钠的禁忌证：妊娠期[1]。"


@pytest.mark.parametrize("question", ["胃溃疡能喝酒吗", "胃溃疡吃柚子行吗", "胃溃疡喝咖啡可以吗", "胃溃疡能不能碰酒"])
def test_leave_to_take_something_is_never_the_models_to_give(warned: KnowledgeBase, question: str) -> None:
    answer = asked(warned, question, "是的，胃溃疡可以喝[1]。", entities=("癫痫",), attributes=("药物治疗",))
    assert answer.answer.startswith("能不能，要由医生或药师判断。资料中记载：")
    assert answer.raw == ""


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("布洛芬能空腹吃吗", True),
        ("孕妇可不可以打疫苗", True),
        ("高血压能吃什么", False),
        ("肝功能用药前要查吗", False),
        ("丙戊酸钠可以用于癫痫吗", False),
        ("痛风敢喝酒吗，该吃什么药", True),
        ("孕妇感冒了吃什么药", True),
        ("宝宝3个月大，感冒吃点啥", True),
        ("感冒了吃什么药", False),
        ("孕妇感冒挂什么科", False),
    ],
)
def test_what_asks_for_leave(question: str, asks: bool) -> None:
    assert asks_leave(question) is asks


def test_what_speaks_against_it_in_the_persons_own_words_comes_first(tmp_path: Path) -> None:
    """青霉素 is an entity with the same contraindication, and not what is asked about."""
    put(
        tmp_path / "kb",
        "甲",
        entity("青霉素", ("禁忌证", "青霉素过敏"), kind="drug"),
        entity("阿莫西林", ("禁忌证", "青霉素过敏"), kind="drug", row=2),
    )
    with KnowledgeBase.open(tmp_path / "kb") as kb:
        for question in ("青霉素过敏的人能吃阿莫西林吗", "阿莫西林青霉素过敏的人能用吗"):
            assert asked(kb, question).answer.startswith("资料中阿莫西林的禁忌证有“青霉素过敏”")


def test_what_is_to_be_avoided_comes_first(tmp_path: Path) -> None:
    put(tmp_path / "kb", "甲", entity("痛风", ("饮食建议", "多饮水"), ("饮食建议", "避免啤酒"), ("饮食建议", "戒酒")))
    with KnowledgeBase.open(tmp_path / "kb") as kb:
        assert asked(kb, "痛风能喝啤酒吗").answer.startswith("资料中痛风的饮食建议有“避免啤酒”[1]。")
        assert asked(kb, "痛风能吃海鲜吗").answer.startswith("能不能，要由医生或药师判断。")


def test_no_dose_is_told_in_an_emergency(tmp_path: Path) -> None:
    put(tmp_path / "kb", "甲", entity("布洛芬", ("用法用量", "口服 0.2g"), kind="drug"))
    with KnowledgeBase.open(tmp_path / "kb") as kb:
        answer = asked(kb, "一口气吃了三十片布洛芬怎么办，原来一次吃几片")
        assert answer.alarm is not None
        assert "0.2g" not in answer.answer
        assert answer.evidence == ()
        assert "0.2g" in asked(kb, "布洛芬一次吃几片").answer


def test_a_yes_that_no_fact_can_bear_out_does_not_stand(warned: KnowledgeBase) -> None:
    said = "是的，癫痫的药物治疗有丙戊酸钠[1]。"
    answer = asked(warned, "癫痫会自己好吗", said, entities=("癫痫",), attributes=("药物治疗",))
    assert answer.answer.startswith("资料中记载：")
    assert answer.removed == ((said, "问的这一点，资料里没有可以核对的说法，不由模型说是。"),)


def test_another_name_of_a_value_is_that_value(warned: KnowledgeBase) -> None:
    answer = asked(warned, "丙戊酸钠会引起浮肿吗", "会引起水肿[1]。", entities=("丙戊酸钠",), attributes=("不良反应",))
    assert answer.premise is not None
    assert answer.premise.holds

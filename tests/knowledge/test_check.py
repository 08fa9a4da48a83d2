"""The rules of `check`: each sees what it is for, and lets pass what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bentsao.knowledge.check import RULES, Problem, check
from bentsao.knowledge.rows import Row
from bentsao.knowledge.store import KnowledgeBase
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, entity, put

Found = Callable[..., list[Problem]]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """What a rule finds in a knowledge base of these rows."""

    def find(rule: str, *rows: Row) -> list[Problem]:
        put(tmp_path / "kb.sqlite", "甲", *rows)
        with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
            return list(check(kb, [rule]))

    return find


def told(problems: list[Problem]) -> list[tuple[str, str | None, tuple[str, ...], str]]:
    return [(one.subject, one.attribute, one.values, one.reason) for one in problems]


def test_one_value_attributes_with_two_values_contradict(found: Found) -> None:
    rows = [
        entity("龟头炎", ("传染性", "无传染性"), row=3),
        entity("龟头炎", ("传染性", "有传染性"), row=9),
        entity("哮喘", ("治疗周期", "1-2周"), ("治疗周期", "7～14天"), ("治疗周期", "3天", "儿童")),
    ]
    problems = found("contradiction", *rows)
    assert told(problems) == [("龟头炎", "传染性", ("无传染性", "有传染性"), "只应有一个值")]
    assert problems[0].sources == ("甲 甲.jsonl:3", "甲 甲.jsonl:9")


def test_what_is_ruled_out_cannot_be_recommended(found: Found) -> None:
    rows = [
        entity("甲药", ("适应症", "高血压"), ("适应症", "心衰"), ("禁忌证", "高血压"), kind="drug"),
        entity("乙药", ("适应症", "高血压"), ("禁忌证", "高血压", "妊娠期"), kind="drug"),
        entity("丙药", ("适应症", "高血压", "儿童"), ("禁忌证", "高血压"), kind="drug"),
        entity("痛风", ("饮食建议", "低嘌呤饮食"), ("饮食禁忌", "啤酒")),
    ]
    assert told(found("contradiction", *rows)) == [
        ("甲药", "禁忌证", ("高血压",), "同时是适应症"),
        ("丙药", "禁忌证", ("高血压",), "同时是适应症"),
    ]


def test_a_drug_cannot_treat_what_it_is_contraindicated_in(found: Found) -> None:
    rows = [
        entity("硝苯地平", ("禁忌证", "不稳定心绞痛"), kind="drug", also=["心痛定"]),
        entity("不稳定型心绞痛", ("药物治疗", "心痛定"), also=["不稳定心绞痛"]),
        entity("心动过缓", ("药物治疗", "阿托品")),
        entity("阿托品", ("禁忌证", "青光眼"), ("禁忌证", "心动过缓", "房室传导阻滞"), kind="drug"),
    ]
    assert told(found("contradiction", *rows)) == [
        ("硝苯地平", "禁忌证", ("不稳定心绞痛",), "不稳定型心绞痛的药物治疗里有它")
    ]


def test_what_does_not_spread_has_no_route_of_spreading(found: Found) -> None:
    rows = [
        entity("痛风", ("传染性", "无传染性"), ("传播途径", "空气传播")),
        entity("流感", ("传染性", "有传染性"), ("传播途径", "空气传播")),
        entity("沙眼", ("传染性", "有传染性"), ("传染性", "无传染性"), ("传播途径", "接触传播")),
    ]
    assert told(found("contradiction", *rows)) == [
        ("痛风", "传染性", ("无传染性",), "却又有传播途径"),
        ("沙眼", "传染性", ("有传染性", "无传染性"), "只应有一个值"),
    ]


def test_names_of_several_entities_clash_and_are_told_once(found: Found) -> None:
    rows = [
        entity("乙肝", also=["乙型肝炎", "HBV感染"]),
        entity("乙型肝炎"),
        entity("2型糖尿病"),
        entity("Ⅱ型糖尿病", also=["成人糖尿病"]),
        entity("糖尿病", also=["成人糖尿病"]),
        entity("发热", kind="symptom"),
        entity("发热"),
    ]
    assert {(one.values[0], one.reason) for one in found("alias", *rows)} == {
        ("乙型肝炎", "一个的别名是另一个的名称：乙肝（疾病）、乙型肝炎（疾病）"),
        ("2型糖尿病", "名称只是写法不同：2型糖尿病（疾病）、Ⅱ型糖尿病（疾病）"),
        ("成人糖尿病", "同一个别名：Ⅱ型糖尿病（疾病）、糖尿病（疾病）"),
        ("发热", "同一个名称，类别不同：发热（症状）、发热（疾病）"),
    }
    assert len(found("alias", *rows)) == 4


def test_values_that_name_nothing_dangle(found: Found) -> None:
    problems = found("dangling", COLD, APPENDICITIS, FEVER)
    assert told(problems) == [
        ("感冒", "临床症状及体征", ("鼻塞",), "知识库里没有这样的症状"),
        ("感冒", "药物治疗", ("对乙酰氨基酚", "氯苯那敏"), "知识库里没有这样的药物"),
        ("感冒", "药物治疗", ("布洛芬混悬液",), "知识库里没有这样的药物"),
        ("急性阑尾炎", "临床症状及体征", ("转移性右下腹痛",), "知识库里没有这样的症状"),
    ]


def test_a_value_is_found_under_an_alias_in_another_writing(found: Found) -> None:
    assert found("dangling", entity("中暑", ("临床症状及体征", "發燒")), FEVER, entity("感冒")) == []


def test_long_names_values_and_sentences(found: Found) -> None:
    long = "一" * 25
    rows = [
        entity(long, ("病因", "二" * 24), ("病因", "三" * 25), ("病因", "先受凉。后发热")),
        entity("阿司匹林", ("用法用量", "四" * 120), ("用法用量", "五" * 121), kind="drug"),
        entity("白血病", also=["acute lymphoblastic leukaemia"]),
    ]
    assert told(found("long", *rows)) == [
        (long, None, (long,), "名称超过 24 字"),
        (long, "病因", ("三" * 25,), "值超过 24 字"),
        (long, "病因", ("先受凉。后发热",), "值是句子，不是词条"),
        ("阿司匹林", "用法用量", ("五" * 121,), "值超过 120 字"),
    ]


def test_doses_that_cannot_be_and_doses_out_of_place(found: Found) -> None:
    rows = [
        entity("甲药", ("用法用量", "每次10～5mg"), ("用法用量", "每次3μg"), kind="drug"),
        entity("中暑", ("药物治疗", "3克清凉油"), ("药物治疗", "人丹"), ("饮食建议", "每天2000ml水")),
    ]
    assert told(found("dose", *rows)) == [
        ("甲药", "用法用量", ("每次10～5mg",), "下限大于上限：10~5mg"),
        ("甲药", "用法用量", ("每次3μg", "每次10～5mg"), "单次剂量相差悬殊，单位可能有误"),
        ("中暑", "药物治疗", ("3克清凉油",), "剂量应写在药物的用法用量里"),
    ]


def test_without_a_choice_all_rules_are_asked(tmp_path: Path) -> None:
    put(
        tmp_path / "kb.sqlite",
        "甲",
        entity(
            "痛风", ("传染性", "无传染性"), ("传染性", "有传染性"), ("药物治疗", "5mg激素"), also=["一" * 30, "流感"]
        ),
        entity("流感"),
    )
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        assert {problem.rule for problem in check(kb)} == set(RULES)

"""Negation and its reach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.verify.stance import NAME, Stance, core, stance, use


def taken(sentence: str) -> Stance:
    """The stance on what is written as 〔…〕; what is written as ⟨…⟩ is another known name."""
    clause, at, length = "", -1, 0
    inside = ""
    for sign in sentence:
        if sign in "〔⟨":
            inside = sign
            if sign == "〔":
                at = len(clause)
        elif sign in "〕⟩":
            inside = ""
        else:
            clause += NAME if inside else sign
            length += inside == "〔"
    return stance(clause, at, at + length)


@pytest.mark.parametrize(
    "sentence",
    [
        "患者没有〔发热〕", "无〔发热〕", "不伴〔发热〕", "不会引起明显的〔发热〕", "未见〔发热〕",
        "并没有出现〔发热〕",
        "没有⟨咳嗽⟩、⟨头痛⟩和〔发热〕", "无⟨咳嗽⟩及〔发热〕", "〔发热〕未见", "一般〔发热〕不会出现",
        "〔发热〕不是其症状",
        "否认〔发热〕", "没有证据表明该病会引起〔发热〕", "可排除〔发热〕", "适应症不包括〔肺炎〕",
    ],
)  # fmt: skip
def test_denied(sentence: str):
    assert taken(sentence) == Stance(negative=True)


@pytest.mark.parametrize(
    "sentence",
    [
        "会出现〔发热〕", "并非没有〔发热〕", "并不是没有〔发热〕", "不仅有〔发热〕", "不但会引起〔发热〕",
        "没有⟨咳嗽⟩但有〔发热〕",
        "不及时治疗会引起〔发热〕", "不治疗可导致〔发热〕", "未经治疗可致〔发热〕", "不能排除〔肺炎〕",
        "没有⟨传染性⟩的疾病可出现〔发热〕",
        "不良反应有〔发热〕", "非甾体抗炎药可引起〔发热〕", "不孕症伴〔发热〕", "不明原因的〔发热〕",
        "不可避免地出现〔发热〕",
        "特别是〔发热〕",
        "没有⟨传染性⟩的〔疾病〕", "不吃药会出现〔发热〕", "⟨黄疸⟩、无痛、〔发热〕", "患者有⟨咳嗽⟩、不能平卧、〔发热〕",
        "〔颅脑CT〕可以排除其他疾病",
    ],
)  # fmt: skip
def test_affirmed(sentence: str):
    assert not taken(sentence).negative


@pytest.mark.parametrize(
    "sentence",
    [
        "不推荐使用〔阿司匹林〕", "避免使用〔阿司匹林〕", "不宜与〔阿司匹林〕合用", "忌〔辛辣食物〕",
        "不要吃〔辛辣食物〕", "〔孕妇〕禁用",
        "〔孕妇〕、⟨儿童⟩禁用", "〔青霉素过敏〕者慎用", "〔青霉素过敏〕的患者不宜使用", "禁用于〔孕妇〕",
        "不需要〔手术〕", "无需进行〔手术〕",
    ],
)  # fmt: skip
def test_advised_against(sentence: str):
    assert taken(sentence) == Stance(negative=True, against=True)


@pytest.mark.parametrize(
    "sentence",
    [
        "〔孕妇〕可以使用",
        "可以吃〔辛辣食物〕",
        "推荐〔阿司匹林〕",
        "〔孕妇〕并非禁用",
        "并非禁用于〔孕妇〕",
        "〔孕妇〕能用",
    ],
)
def test_allowed(sentence: str):
    assert taken(sentence) == Stance(allowed=True)


@pytest.mark.parametrize("sentence", ["是否有〔发热〕", "有没有〔发热〕", "会不会引起〔发热〕", "有无〔发热〕"])
def test_asked(sentence: str):
    assert taken(sentence).asked


def test_a_list_that_opens_with_no_something_asks_nothing():
    assert not taken("症状有无力、〔发热〕").asked


@given(st.lists(st.sampled_from(["并非", "不是", "没有"]), max_size=3))
def test_each_negation_turns_the_sense_round(negations: list[str]):
    assert taken("".join(negations) + "〔发热〕").negative == (len(negations) % 2 == 1)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("禁用", "forbidden"),
        ("避免使用", "forbidden"),
        ("妊娠中晚期不推荐", "forbidden"),
        ("慎用", "careful"),
        ("医师指导下使用", "careful"),
        ("有指征时可选用", "careful"),
        ("权衡利弊", "careful"),
        ("可用", "allowed"),
        ("继续使用并按需加量", "allowed"),
        ("并非禁用", "allowed"),
        ("是否可用", None),
        ("易致排尿困难", None),
    ],
)
def test_use(words: str, meant: str | None):
    assert use(words) == meant


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("头痛", ("头痛", False)),
        ("无发热", ("发热", True)),
        ("避免饮酒", ("饮酒", True)),
        ("避免使用阿司匹林", ("阿司匹林", True)),
        ("青霉素过敏者禁用", ("青霉素过敏", True)),
        ("无痛性血尿", ("无痛性血尿", False)),
        ("不孕症", ("不孕症", False)),
        ("禁食禁饮", ("禁食禁饮", False)),
        ("尿酮体阴性", ("尿酮体", True)),
    ],
)
def test_the_core_of_a_value(value: str, expected: tuple[str, bool]):
    assert core(normalise(value).text) == expected

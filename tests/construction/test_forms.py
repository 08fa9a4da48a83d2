"""The forms: premises that are true or false, vignettes that fit, comparisons, drugs, gaps."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from bentsao.construction.exchanges import grounded, instruction
from bentsao.construction.forms.care import drug_for, triage
from bentsao.construction.forms.compare import compare
from bentsao.construction.forms.direct import several, vignette
from bentsao.construction.forms.gaps import invented, missing
from bentsao.construction.forms.premises import false_value, is_askable, premises
from bentsao.construction.grammar import load_grammar
from bentsao.construction.people import fits, group_of, opening
from bentsao.construction.subjects import Material, gather, values_of
from bentsao.core.grounding import Gap
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.store import KnowledgeBase
from tests.construction.materials import fact, pen, sample_material, small_material, subject
from tests.knowledge.bases import entity, put

PEOPLE = load_grammar().people


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return small_material(tmp_path_factory.mktemp("kb"))


def test_a_pair_shares_its_pattern_and_differs_in_the_value(material: Material) -> None:
    cold = material.named["感冒"]
    for seed in range(40):
        pair = premises(cold, "临床症状及体征", pen(material, seed))
        assert pair is not None
        true, false = pair
        assert true.patterns == false.patterns
        assert true.question.replace(true.value, "□") == false.question.replace(false.value, "□")
        assert true.value in values_of(cold.facts["临床症状及体征"])
        assert false.value not in values_of(cold.facts["临床症状及体征"])


def test_false_values_are_never_true() -> None:
    """Over the whole sample: no false value is a value of the subject, nor like one, nor in a related attribute."""
    material = sample_material()
    drawn = 0
    for number, one in enumerate(material.subjects[::3]):
        for attribute in sorted(one.facts)[:4]:
            value = false_value(one, attribute, pen(material, number))
            own = {text for facts in one.facts.values() for text in values_of(facts)}
            if value is None:
                continue
            drawn += 1
            mine = values_of(one.facts[attribute])
            assert value not in mine
            if ATTRIBUTES[attribute].many:
                assert not any(value in text or text in value for text in mine), (one.name, attribute, value)
            named = material.named.get(value)
            if named is not None and attribute in ("药物治疗", "并发症", "临床症状及体征"):
                assert one.name not in {text for facts in named.facts.values() for text in values_of(facts)}
            assert own
    assert drawn > 300


@pytest.mark.parametrize(
    ("mine", "other", "drawn"),
    [("7天", "1周", None), ("1个月", "30天", None), ("4至6周", "5周", None), ("7天", "3个月", "3个月"),
     ("60%", "85%~90%", "85%~90%"), ("80%", "85%~90%", None), ("80%", "75%~90%", None)],
)  # fmt: skip
def test_figures_that_meet_are_not_false(mine: str, other: str, drawn: str | None) -> None:
    name = "治愈率" if "%" in mine else "治疗周期"
    one, two = subject("甲病", fact("甲病", name, mine)), subject("乙病", fact("乙病", name, other))
    assert false_value(one, name, pen(Material((one, two), Counter()))) == drawn


@pytest.mark.parametrize(
    ("value", "attribute", "askable"),
    [("头痛", "临床症状及体征", True), ("头痛，呕吐", "临床症状及体征", False), ("治愈率96%", "治愈率", False),
     ("96%", "治愈率", True), ("一些极少的病例", "不良反应", False), ("严重肝功能不全", "禁忌证", False),
     ("有传染性", "传染性", True), ("痛", "临床症状及体征", False)],
)  # fmt: skip
def test_what_can_be_asked_after(value: str, attribute: str, *, askable: bool) -> None:
    assert is_askable(value, attribute) is askable


@pytest.mark.parametrize(
    ("name", "groups", "sex", "ages"),
    [
        ("卵巢囊肿", (), "female", set[str]()),
        ("良性前列腺增生", (), "male", {"old"}),
        ("新生儿黄疸", (), None, {"infant"}),
        ("小儿腹泻病", (), None, {"child"}),
        ("某病", ("老年人",), None, {"old"}),
        ("某病", ("青年女性", "孕妇"), "female", {"young", "adult"}),
        ("某病", ("无特定人群",), None, set[str]()),
        ("某病", ("男性", "女性"), None, set[str]()),
    ],
)
def test_whom_a_disease_concerns(name: str, groups: tuple[str, ...], sex: str | None, ages: set[str]) -> None:
    one = subject(name, *([fact(name, "多发群体", *groups)] if groups else []))
    found = group_of(one)
    assert (found.sex, set(found.ages)) == (sex, ages)


def test_signs_say_a_sex_too() -> None:
    assert group_of(subject("甲状腺功能减退症"), ("月经紊乱",)).sex == "female"


def test_openings_fit_age_and_voice() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        baby = opening(subject("新生儿黄疸"), PEOPLE, rng)
        assert "月" in baby
        woman = opening(subject("异位妊娠"), PEOPLE, rng)
        assert 22 <= int(re.findall(r"\d+", woman)[0]) <= 40
        assert not re.search("男|老公|我哥|弟", woman)
        doctor = opening(subject("肺炎"), PEOPLE, rng, pattern="病例分析：{who}{signs}，考虑为{e}。")
        assert not re.search("我|邻居", doctor)
        patient = opening(subject("肺炎"), PEOPLE, rng, pattern="{who}我有点怕，{e}严重吗？")
        assert not patient.startswith(("患者", "一名"))
        assert "岁" in opening(subject("奥司他韦", kind="drug"), PEOPLE, rng, grown_up=True)


@pytest.mark.parametrize(
    ("pattern", "name", "fitting"),
    [("我爸查出{e}，怎么办？", "卵巢囊肿", False), ("我爸查出{e}，怎么办？", "良性前列腺增生", True),
     ("老人有{e}，能用吗？", "小儿腹泻病", False), ("我得了{e}怎么办？", "新生儿黄疸", False),
     ("孩子班上有人得了{e}。", "阿尔茨海默病", False), ("{e}怎么治？", "卵巢囊肿", True)],
)  # fmt: skip
def test_a_pattern_with_persons_of_its_own_must_fit(pattern: str, name: str, *, fitting: bool) -> None:
    assert fits(pattern, subject(name)) is fitting


def test_no_vignette_of_an_infant_looks_back(material: Material) -> None:
    baby = subject(
        "新生儿黄疸", fact("新生儿黄疸", "治疗方案", "光照疗法"), fact("新生儿黄疸", "临床症状及体征", "皮肤黄染")
    )
    for seed in range(30):
        made = vignette(baby, "治疗方案", pen(material, seed))
        assert made is None or not re.search("去年|半年前|年初", made.question)


def test_a_comparison_marks_each_side(material: Material) -> None:
    cold, flu = material.named["感冒"], material.named["流行性感冒"]
    made = compare(cold, flu, "药物治疗", pen(material))
    assert made is not None
    assert [item.fact.subject for item in made.evidence] == ["感冒", "感冒", "流行性感冒", "流行性感冒"]
    assert "儿童：对乙酰氨基酚混悬液[2]" in made.answer
    assert made.answer.index("奥司他韦") > made.answer.index("[2]")
    half = compare(cold, flu, "预防措施", pen(material))
    assert half is not None
    assert half.gaps == (Gap(half.names[1], "预防措施"),)


def test_drugs_for_diseases(material: Material) -> None:
    drug = material.named["奥司他韦"]
    true = drug_for(drug, pen(material), true=True)
    assert true is not None
    assert "流行性感冒" in true.question
    for seed in range(20):
        false = drug_for(drug, pen(material, seed), true=False)
        assert false is not None
        assert "流行性感冒" not in false.question


def test_triage_leads_to_the_department(material: Material) -> None:
    made = triage(material.named["肺结核"], pen(material))
    assert made is not None
    assert "呼吸内科" in made.answer
    assert "盗汗" in made.question or "咯血" in made.question


def test_several_attributes_are_numbered_through(material: Material) -> None:
    made = several(material.named["感冒"], ("病因", "药物治疗"), pen(material))
    assert made is not None
    assert [item.number for item in made.evidence] == [1, 2, 3]
    assert made.answer.index("[1]") < made.answer.index("[2]") < made.answer.index("[3]")


def test_missing_and_unknown_say_so(material: Material) -> None:
    one = material.named["湿疹"]
    made = missing(one, "预后状况", pen(material))
    assert made is not None
    assert made.facts == ()
    assert "湿" in made.answer
    assert missing(one, "病因", pen(material)) is None
    assert invented("disease", pen(material)) not in material.named


def test_rows_of_an_exchange(material: Material) -> None:
    made = several(material.named["感冒"], ("病因", "药物治疗"), pen(material))
    assert made is not None
    assert "[" not in instruction(made)[1].content
    assert instruction(made, "请及时就诊。")[1].content.endswith("请及时就诊。")
    turns = grounded(made)
    assert [turn.part for turn in turns if turn.role == "assistant"] == ["entity", "attribute", "answer"]
    assert "[1] 感冒的病因：鼻病毒感染" in turns[4].content


def test_values_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    base = tmp_path / "kb"
    put(base, "甲", entity("某病", ("多发群体", "无特定人群"), ("检查", "检查"), ("预后状况", "尚可。易复发"),
                          ("病因", "感染（病毒"), ("治疗方案", "冷敷")))  # fmt: skip
    with KnowledgeBase.open(base) as kb:
        material = gather(kb, load_grammar())
    assert set(material.subjects[0].facts) == {"治疗方案"}
    assert material.left_out.total() == 4

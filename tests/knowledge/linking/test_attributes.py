from __future__ import annotations

import pytest

from bentsao.knowledge.linking.attributes import CueFinder, asked_of, cue_finder, wordings
from bentsao.knowledge.linking.cues import SIGNS, Cues
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import Kind


def _asked(text: str, kind: Kind) -> list[str]:
    return list(asked_of(cue_finder().find(normalise(text).text), kind).attributes)


@pytest.mark.parametrize(
    ("text", "kind", "attribute"),
    [
        ("要挂什么科", "disease", "所属科室"),
        ("去哪个科开", "drug", "所属科目"),
        ("会不会传染", "disease", "传染性"),
        ("是被什么传上的", "disease", "传播途径"),
        ("要不要开刀", "disease", "手术治疗"),
        ("吃什么药好得快", "disease", "药物治疗"),
        ("吃什么好", "disease", "饮食建议"),
        ("不能吃什么", "disease", "饮食禁忌"),
        ("怀孕能不能吃", "drug", "孕妇用药"),
        ("三岁孩子能吃吗", "drug", "儿童用药"),
        ("八十岁老人能吃吗", "drug", "老年用药"),
        ("一天吃几次", "drug", "用法用量"),
        ("能活多久", "disease", "预后生存时间"),
        ("要花多少钱", "disease", "治疗费用"),
        ("怎么得的", "disease", "病因"),
        ("有啥感觉", "disease", "临床症状及体征"),
        ("要查什么", "disease", "检查"),
        ("抽血能查出来吗", "disease", "实验室检查"),
        ("能断根吗", "disease", "治愈率"),
        ("多久能好", "disease", "治疗周期"),
        ("给不给报销", "disease", "是否医保"),
        ("伤不伤肝", "drug", "不良反应"),
        ("能喝酒吗", "drug", "药物相互作用"),
        ("哪些人不能吃", "drug", "禁忌证"),
        ("药店能随便买吗", "drug", "OTC类型"),
        ("要空腹吗", "examination", "注意事项"),
        ("多少算正常", "examination", "正常值"),
        ("是全麻还是局麻", "operation", "麻醉方式"),
        ("看什么病", "department", "诊治疾病"),
        ("什么情况要马上去医院", "symptom", "危险信号"),
        ("是什么病", "symptom", "相关疾病"),
        ("屬於醫保嗎", "disease", "是否医保"),
    ],
)
def test_everyday_words(text: str, kind: Kind, attribute: str) -> None:
    assert _asked(text, kind)[0] == attribute


def test_what_not_to_eat_is_filed_as_advice_too() -> None:
    assert _asked("不能吃什么", "disease") == ["饮食禁忌", "饮食建议"]


def test_several_where_several_are_asked_for() -> None:
    assert set(_asked("有什么症状，能活几年，要花多少钱", "disease")) == {"临床症状及体征", "预后生存时间", "治疗费用"}


@pytest.mark.parametrize("text", ["", "你好", "今天天气真好", "xyz"])
def test_none_where_there_is_none(text: str) -> None:
    assert _asked(text, "disease") == []


def test_a_kind_is_asked_only_for_what_it_can_have() -> None:
    assert _asked("长在什么部位", "drug") == []
    assert _asked("一天吃几次", "disease") != ["用法用量"]


def test_a_word_inside_a_longer_one_does_not_count() -> None:
    assert _asked("吃什么药", "disease") == ["药物治疗"]
    assert _asked("影像学检查", "disease") == ["影像学检查"]


def test_a_hint_counts_only_where_nothing_plainer_is_there() -> None:
    assert _asked("孩子", "drug") == ["儿童用药"]
    assert "儿童用药" not in _asked("孩子，有什么副作用", "drug")


def test_the_particular_comes_before_the_general() -> None:
    asked = _asked("要做哪些检查，要不要抽血", "disease")
    assert asked.index("实验室检查") < asked.index("检查")


def test_parts_stand_in_order_near_each_other_in_one_clause() -> None:
    finder = CueFinder([Cues("病因", everyday="打..来")])
    assert finder.find("打哪里来")
    assert not finder.find("来打")
    assert not finder.find("打,来")
    assert not finder.find("打了很久很久很久才来")


def test_names_do_not_count_as_distance() -> None:
    finder = CueFinder([Cues("病因", everyday="得..是")])
    text = "得慢性淋巴细胞白血病是"
    assert not finder.find(text)
    assert finder.find(text, {(1, 10): SIGNS["disease"]})


def test_a_pattern_may_speak_of_names() -> None:
    finder = CueFinder([Cues("禁忌证", everyday="{病}能吃")])
    assert finder.find("高血压能吃", {(0, 3): SIGNS["disease"]})
    assert not finder.find("高血压能吃", {(0, 3): SIGNS["drug"]})
    assert not finder.find("高血压能吃")


def test_a_cue_is_not_cut_out_of_a_name() -> None:
    finder = CueFinder([Cues("传染性", everyday="传染")])
    assert not finder.find("传染性单核细胞增多症", {(0, 10): SIGNS["disease"]})
    assert finder.find("会传染", {(0, 1): ""})


def test_wordings() -> None:
    assert list(wordings("[挂|看]{哪}科"))[:2] == ["挂哪科", "挂哪里科"]
    assert set(wordings("a[b|]")) == {"ab", "a"}

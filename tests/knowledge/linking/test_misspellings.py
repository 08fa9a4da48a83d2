from __future__ import annotations

import pytest

from bentsao.knowledge.linking import Linker
from bentsao.knowledge.linking.index import NameIndex
from bentsao.knowledge.linking.mentions import read
from bentsao.knowledge.linking.misspellings import slips
from bentsao.knowledge.linking.words import CONTRASTS, LOOKALIKES


@pytest.mark.parametrize(
    ("question", "name", "match"),
    [
        ("急性兰尾炎要开刀吗", "急性阑尾炎", "homophone"),
        ("兰尾炎要开刀吗", "阑尾炎", "homophone"),
        ("糖料病吃什么", "糖尿病", "homophone"),
        ("糠尿病吃什么", "糖尿病", "homophone"),  # looks alike
        ("白塞并挂什么科", "白塞病", "homophone"),
        ("感帽怎么办", "上呼吸道感染", "homophone"),
        ("阿思匹林一天吃几次", "阿司匹林", "homophone"),
        ("强直性背柱炎能报医保吗", "强直性脊柱炎", "homophone"),
        ("强直性奇柱炎能报医保吗", "强直性脊柱炎", "misspelt"),
        ("梅埃病的治疗方案", "梅尼埃病", "misspelt"),
        ("氯吡雷的副作用", "氯吡格雷", "misspelt"),
        ("肠易激综征怎么治", "肠易激综合征", "misspelt"),
        ("慢性胰腺腺炎怎么治", "慢性胰腺炎", "misspelt"),
        ("强直性柱脊炎怎么治", "强直性脊柱炎", "misspelt"),
        ("糖尿病肾并怎么治", "糖尿病肾病", "homophone"),
        ("强直脊柱炎怎么治", "强直性脊柱炎", "variant"),
    ],
)
def test_a_slip_is_forgiven(linker: Linker, question: str, name: str, match: str) -> None:
    entity = linker.link(question).entities[0]
    assert (entity.name, entity.match) == (name, match)
    assert entity.score < 1


@pytest.mark.parametrize(
    "question",
    [
        "丙型肝炎怎么传染",  # 甲, 乙 and 丙 are no slips of each other
        "慢性肾炎怎么治",  # nor are organs
        "亚急性阑尾炎",
        "维生素c有什么用",
        "今天的公式怎么推导",  # words of other matters
        "头像怎么换",
        "冬青叶综合征怎么治",
        "",
    ],
)
def test_another_thing_is_no_slip(linker: Linker, question: str) -> None:
    assert linker.link(question).entities == ()


def test_an_understood_name_takes_no_neighbour_in(linker: Linker) -> None:
    for question in ("糖尿病人能吃什么", "糖尿病怎么治", "糖尿病是什么", "阑尾炎并不可怕"):
        assert linker.link(question).entities[0].match == "exact"


def test_two_names_as_near_are_asked_back(linker: Linker) -> None:
    linked = Linker.build(
        [("高血压", 1, "disease", True), ("高血脂", 2, "disease", True), ("高血糖", 3, "disease", True)]
    ).link("高血庄怎么治")
    assert linked.entities == ()
    assert set(linked.ask_back) == {"高血压", "高血脂", "高血糖"}


def test_likelier_slips_come_first(index: NameIndex) -> None:
    found = slips(read("急性兰尾炎", index), index)
    assert [slip.key for slip in found][:2] == ["急性阑尾炎", "阑尾炎"]
    assert found[0].likeness > found[1].likeness


def test_nothing_is_looked_for_where_all_is_explained(index: NameIndex) -> None:
    assert slips(read("得了阑尾炎怎么办", index), index) == []


def test_lists_of_characters_hold_no_character_twice() -> None:
    for group in (*LOOKALIKES, *CONTRASTS):
        assert len(set(group)) == len(group), group

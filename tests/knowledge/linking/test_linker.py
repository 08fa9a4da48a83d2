from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.knowledge.linking import Linked, Linker
from bentsao.knowledge.store import KnowledgeBase
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, put
from tests.knowledge.linking.conftest import names


def _names(linked: Linked) -> list[str]:
    return [entity.name for entity in linked.entities]


def _attributes(linked: Linked) -> list[str]:
    return [attribute.name for attribute in linked.attributes]


@pytest.mark.parametrize(
    ("question", "name", "attribute"),
    [
        ("我妈老是头晕恶心是不是梅尼埃呀要挂什么科", "梅尼埃病", "所属科室"),
        ("中风能治好吗", "脑卒中", "治愈率"),
        ("請問氯吡格雷的副作用是什麼", "氯吡格雷", "不良反应"),
        ("２型糖尿病　吃什么好", "2型糖尿病", "饮食建议"),
        ("芬必得怀孕能不能吃", "布洛芬", "孕妇用药"),
        ("乙肝会不会传染", "乙型肝炎", "传染性"),
        ("做胃镜前要注意什么", "胃镜", "注意事项"),
        ("心内科看什么病", "心血管内科", "诊治疾病"),
        ("割了阑尾，阑尾切除术后怎么护理", "阑尾切除术", "术后护理"),
    ],
)
def test_entity_and_attribute(linker: Linker, question: str, name: str, attribute: str) -> None:
    linked = linker.link(question)
    assert (_names(linked)[0], _attributes(linked)[0]) == (name, attribute)


def test_what_is_found_says_where_it_stands_and_how_it_was_recognised(linker: Linker) -> None:
    question = "我爸　得了 Ⅱ型 糖尿病，吃格华止好吗"
    by_name = {entity.name: entity for entity in linker.link(question).entities}
    diabetes, metformin = by_name["2型糖尿病"], by_name["二甲双胍"]
    assert diabetes.surface == question[diabetes.start : diabetes.end] == "Ⅱ型 糖尿病"
    assert (diabetes.match, diabetes.kind) == ("exact", "disease")
    assert (metformin.match, metformin.kind, metformin.surface) == ("alias", "drug", "格华止")


def test_who_cannot_have_what_is_asked_comes_last(linker: Linker) -> None:
    assert _names(linker.link("糖尿病吃二甲双胍一天几次"))[0] == "二甲双胍"
    assert _names(linker.link("吃二甲双胍，糖尿病能活多久"))[0] == "糖尿病"
    assert _names(linker.link("头晕，高血压挂什么科"))[0] == "高血压病"
    assert _names(linker.link("头晕要做CT吗"))[0] == "头晕"


def test_comparisons_name_all_in_the_order_of_the_question(linker: Linker) -> None:
    linked = linker.link("糖尿病和高血压哪个好治")
    assert _names(linked) == ["糖尿病", "高血压病"]
    assert linked.entities[0].score == pytest.approx(linked.entities[1].score, abs=0.05)


def test_an_entity_comes_once(linker: Linker) -> None:
    assert _names(linker.link("高血压就是原发性高血压吗")) == ["高血压病"]


def test_nothing_where_there_is_nothing(linker: Linker) -> None:
    for question in ("", "  ", "今天天气怎么样", "你好", "？？？"):
        assert linker.link(question).entities == ()


def test_an_attribute_is_known_also_of_an_unknown_entity(linker: Linker) -> None:
    linked = linker.link("玄武养心颗粒一天吃几次")
    assert linked.entities == ()
    assert _attributes(linked)[0] == "用法用量"


def test_one_name_of_several_entities_is_asked_back() -> None:
    linker = Linker.build(
        [
            ("扁平疣", 1, "disease", True),
            ("寻常疣", 2, "disease", True),
            ("瘊子", 1, "disease", False),
            ("瘊子", 2, "disease", False),
        ]
    )
    linked = linker.link("瘊子会传染吗")
    assert linked.ask_back == ("扁平疣", "寻常疣")
    assert linked.entities[0].alternatives == ("寻常疣",)


def test_the_kind_that_can_have_it_is_meant() -> None:
    linker = Linker.build([("癫痫", 1, "disease", True), ("癫痫", 2, "operation", True)])
    assert linker.link("癫痫会遗传吗").entities[0].kind == "disease"
    assert linker.link("癫痫的麻醉方式").entities[0].kind == "operation"


# --- history ---------------------------------------------------------------------------------------------------------


def test_a_follow_up_is_about_what_was_named_before(linker: Linker) -> None:
    linked = linker.link("那怎么治？", ["糖尿病是怎么得的"])
    assert (_names(linked), _attributes(linked)[0]) == (["糖尿病"], "治疗方案")
    entity = linked.entities[0]
    assert (entity.match, entity.surface, entity.start, entity.end) == ("history", "", 0, 0)
    assert entity.score < 1


def test_a_follow_up_is_about_the_last_that_can_have_what_is_asked(linker: Linker) -> None:
    history = ["阿司匹林有什么副作用", "高血压挂什么科"]
    assert _names(linker.link("一天吃几次", history)) == ["阿司匹林"]
    assert _names(linker.link("能活多久", history)) == ["高血压病"]


def test_another_entity_takes_over_what_was_asked(linker: Linker) -> None:
    linked = linker.link("那布洛芬呢？", ["阿司匹林孕妇能吃吗"])
    assert (_names(linked), _attributes(linked)[0]) == (["布洛芬"], "孕妇用药")


def test_a_question_of_its_own_takes_nothing_from_before(linker: Linker) -> None:
    assert linker.link("今天天气怎么样", ["糖尿病是怎么得的"]).entities == ()
    assert _names(linker.link("阑尾炎要开刀吗", ["糖尿病是怎么得的"])) == ["阑尾炎"]
    assert linker.link("能活多久", ["你好"]).entities == ()


# --- the knowledge base ----------------------------------------------------------------------------------------------


def test_a_linker_follows_its_knowledge_base(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    put(path, "甲", COLD, APPENDICITIS)
    with KnowledgeBase.open(path) as kb:
        linked = Linker.for_kb(kb, tmp_path / "indexes").link("伤风吃什么药")
        assert [(entity.name, entity.id) for entity in linked.entities] == [("感冒", kb.entities("感冒")[0].id)]
        assert Linker.for_kb(kb, tmp_path / "indexes").link("发烧怎么办").entities == ()
    put(path, "乙", FEVER)
    with KnowledgeBase.open(path) as kb:
        assert _names(Linker.for_kb(kb, tmp_path / "indexes").link("发烧怎么办")) == ["发热"]
    assert len(list((tmp_path / "indexes").iterdir())) == 1


def test_the_index_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kb.sqlite"
    put(path, "甲", COLD)
    with KnowledgeBase.open(path) as kb:
        Linker.for_kb(kb, tmp_path / "indexes")
        monkeypatch.setattr(KnowledgeBase, "names", lambda _: pytest.fail("built again"))
        assert _names(Linker.for_kb(kb, tmp_path / "indexes").link("伤风")) == ["感冒"]


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    put(path, "甲", COLD)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with KnowledgeBase.open(path) as kb:
        assert _names(Linker.for_kb(kb, tmp_path / "file").link("伤风")) == ["感冒"]


def test_an_empty_base_links_nothing() -> None:
    assert Linker.build([]).link("高血压怎么治").entities == ()


_words = st.sampled_from([*(name for name, *_ in names()), *"吃药兰尾的，2型x会炎病性\ud800", "什么", "AD"])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(_words, st.text(max_size=3)), max_size=8).map("".join), st.lists(_words, max_size=2))
def test_any_text_is_read_without_fail(linker: Linker, question: str, history: list[str]) -> None:
    linked = linker.link(question, history)
    for entity in linked.entities:
        assert 0 < entity.score <= 1
        assert entity.surface == question[entity.start : entity.end]
        assert (entity.match == "history") == (entity.surface == "")
    assert all(0 < attribute.score <= 1 for attribute in linked.attributes)
    assert len({entity.id for entity in linked.entities}) == len(linked.entities)

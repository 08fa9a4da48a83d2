"""Reading a knowledge base: names, facts with their sources, the way back from values, versions, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentsao.core.errors import MissingError
from bentsao.core.records import Fact, Source
from bentsao.knowledge.database import StoreError
from bentsao.knowledge.rows import Alias, Row, SourceInfo
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.writing import import_rows, remove_source
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, TRIAL, entity, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kb.sqlite"


@pytest.fixture
def kb(path: Path) -> Iterator[KnowledgeBase]:
    put(path, "甲", COLD, APPENDICITIS, FEVER, TRIAL)
    with KnowledgeBase.open(path) as kb:
        yield kb


def values(facts: list[Fact]) -> list[tuple[str, ...]]:
    return [fact.values for fact in facts]


def test_an_entity_is_found_by_its_name_and_its_aliases(kb: KnowledgeBase) -> None:
    cold = kb.entity("感冒")
    assert cold is not None
    assert (cold.name, cold.kind) == ("感冒", "disease")
    assert cold.aliases == (Alias("上呼吸道感染"), Alias("伤风"))
    assert kb.entity("伤风") == cold
    assert kb.entity("伤") is None
    assert kb.entities("") == []


def test_of_several_with_one_name_those_called_so_come_first(kb: KnowledgeBase, path: Path) -> None:
    put(path, "乙", entity("流感", also=["感冒"]), entity("感冒", kind="symptom"))
    assert [(found.name, found.kind) for found in kb.entities("感冒")] == [
        ("感冒", "disease"),
        ("感冒", "symptom"),
        ("流感", "disease"),
    ]


def test_facts_group_values_of_one_condition_and_say_where_they_stand(kb: KnowledgeBase) -> None:
    source = Source(name="甲", file="甲.jsonl", row=3, licence="测试用")
    assert kb.facts("伤风", "药物治疗") == [
        Fact(subject="感冒", attribute="药物治疗", values=("对乙酰氨基酚", "氯苯那敏"), source=source),
        Fact(subject="感冒", attribute="药物治疗", values=("布洛芬混悬液",), source=source, qualifier="儿童"),
    ]


def test_facts_of_all_attributes_come_in_the_schemas_order(kb: KnowledgeBase) -> None:
    cold = kb.entity("感冒")
    assert cold is not None
    facts = kb.facts(cold.id)
    assert [fact.attribute for fact in facts] == ["临床症状及体征", "药物治疗", "药物治疗"]
    assert facts[0].values == ("鼻塞", "发热")
    # The file's order, though 发热 was known before.
    assert values(kb.facts("急性阑尾炎")) == [("转移性右下腹痛", "发热")]


def test_what_is_not_there_has_no_facts(kb: KnowledgeBase) -> None:
    assert kb.facts("不存在的病") == kb.facts(10**6) == kb.facts("感冒", "病因") == kb.facts("感冒", "星座") == []


def test_values_of_several_rows_and_sources_stay_apart(kb: KnowledgeBase, path: Path) -> None:
    put(path, "乙", entity("感冒", ("病因", "病毒"), row=1), entity("感冒", ("病因", "受凉"), ("病因", "病毒"), row=2))
    put(path, "丙", entity("感冒", ("病因", "病毒")))
    found = [(fact.source.name, fact.source.row, fact.values) for fact in kb.facts("感冒", "病因")]
    assert found == [("乙", 1, ("病毒",)), ("乙", 2, ("受凉",)), ("丙", 1, ("病毒",))]


def test_the_way_back_from_a_value(kb: KnowledgeBase) -> None:
    assert [found.name for found in kb.subjects("临床症状及体征", "发热")] == ["感冒", "急性阑尾炎"]
    assert [found.name for found in kb.subjects("相关疾病", "感冒")] == ["发热"]
    assert kb.subjects("病因", "发热") == kb.subjects("星座", "发热") == []


def test_names_lists_every_name_once_and_says_which_are_own(kb: KnowledgeBase, path: Path) -> None:
    put(path, "乙", entity("感冒", also=["伤风"]))
    own = {text: is_own for text, _, kind, is_own in kb.names() if kind == "disease"}
    assert own == {"感冒": True, "上呼吸道感染": False, "伤风": False, "急性阑尾炎": True, "盲肠炎": False}
    assert len(list(kb.names())) == 7


def test_sources_say_how_much_they_brought(kb: KnowledgeBase) -> None:
    (source,) = kb.sources()
    assert (source.name, source.file, source.licence) == ("甲", "甲.jsonl", "测试用")
    assert (source.entities, source.aliases, source.facts, source.passages) == (3, 4, 8, 1)


def test_a_passage_keeps_all_that_is_needed_to_find_it(kb: KnowledgeBase) -> None:
    (passage,) = kb.passages("索拉非尼的生存期")
    assert (passage.title, passage.text, passage.keywords) == (TRIAL.title, TRIAL.text, TRIAL.keywords)
    assert (passage.journal, passage.year) == ("N Engl J Med", 2008)
    assert (passage.locator, passage.identifier) == ("359:378-390", "doi:10.1056/NEJMoa0708857")
    assert passage.source == Source(name="甲", file="甲.jsonl", row=6, licence="测试用")
    assert kb.passages("骨折怎么办") == []


def test_the_version_changes_with_every_change_and_only_then(tmp_path: Path) -> None:
    def versions(path: Path) -> list[str]:
        seen: list[str] = []
        with KnowledgeBase.open(path, create=True) as kb:
            seen.append(kb.version)
            for change in (
                lambda: put(path, "甲", COLD),
                lambda: put(path, "甲", COLD),  # the same file: no change
                lambda: put(path, "甲", FEVER, edition="2"),
                lambda: put(path, "乙", COLD),
                lambda: remove_source(path, "甲"),
            ):
                change()
                seen.append(kb.version)
        return seen

    first = versions(tmp_path / "a.sqlite")
    assert first[0] == ""
    assert first[1] == first[2]
    assert len(set(first)) == 5
    assert versions(tmp_path / "b.sqlite") == first


def test_a_reader_sees_the_old_until_the_new_is_complete(kb: KnowledgeBase, path: Path) -> None:
    during: list[list[tuple[str, ...]]] = []

    def rows() -> Iterator[Row]:
        yield entity("感冒", ("临床症状及体征", "咳嗽"))
        during.append(values(kb.facts("感冒", "临床症状及体征")))
        with KnowledgeBase.open(path) as another:
            during.append(values(another.facts("感冒", "临床症状及体征")))

    import_rows(path, rows(), SourceInfo(name="甲", file="新.jsonl", sha256="2"))
    assert during == [[("鼻塞", "发热")]] * 2
    assert values(kb.facts("感冒", "临床症状及体征")) == [("咳嗽",)]
    assert kb.facts("感冒")[0].source.file == "新.jsonl"


def test_one_knowledge_base_serves_several_threads(kb: KnowledgeBase) -> None:
    found: list[int] = []

    def ask() -> None:
        found.append(sum(len(kb.facts("感冒")) + len(kb.search("发热")) for _ in range(50)))

    expected = 50 * (len(kb.facts("感冒")) + len(kb.search("发热")))
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_connections_of_ended_threads_are_closed(kb: KnowledgeBase) -> None:
    for _ in range(5):
        thread = threading.Thread(target=kb.facts, args=("感冒",))
        thread.start()
        thread.join()
    assert len(kb._connections) <= 2  # pyright: ignore[reportPrivateUsage]


def test_a_closed_knowledge_base_says_so(path: Path) -> None:
    put(path, "甲", COLD)
    with KnowledgeBase.open(path) as kb:
        pass
    with pytest.raises(StoreError, match="已经关闭"):
        kb.facts("感冒")


def test_a_new_knowledge_base_is_empty_and_a_missing_one_is_an_error(path: Path) -> None:
    with pytest.raises(MissingError, match="找不到知识库"):
        KnowledgeBase.open(path)
    with KnowledgeBase.open(path, create=True) as kb:
        assert (kb.version, kb.sources(), list(kb.names()), kb.search("感冒")) == ("", [], [], [])


def test_text_that_is_no_unicode_is_an_error_that_says_so(kb: KnowledgeBase) -> None:
    with pytest.raises(StoreError, match="Unicode"):
        kb.entity("\ud800")

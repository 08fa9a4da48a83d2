"""Going through everything a knowledge base holds, and counting it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bentsao.knowledge import contents
from bentsao.knowledge.stats import statistics
from bentsao.knowledge.store import KnowledgeBase
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, TRIAL, entity, put


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    put(tmp_path / "kb.sqlite", "甲", COLD, APPENDICITIS, FEVER, TRIAL)
    put(tmp_path / "kb.sqlite", "乙", entity("感冒", ("药物治疗", "氯苯那敏"), also=["伤风", "受凉"]))
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        yield kb


def test_entities_come_as_the_store_gives_them(kb: KnowledgeBase) -> None:
    found = list(contents.entities(kb))
    assert [one.name for one in found] == ["感冒", "急性阑尾炎", "发热"]
    assert found == [kb.entity(one.name) for one in found]
    assert contents.names_of(found[0]) == ("感冒", "上呼吸道感染", "伤风", "受凉")


def test_passages_come_as_the_store_gives_them(kb: KnowledgeBase) -> None:
    assert list(contents.passages(kb)) == kb.passages("索拉非尼")


def test_pointing_finds_those_that_have_a_name_as_a_value(kb: KnowledgeBase) -> None:
    names = {
        attribute: [one.name for one in subjects]
        for attribute, subjects in contents.pointing(kb, ["发热", "感冒"]).items()
    }
    assert names == {"临床症状及体征": ["感冒", "急性阑尾炎"], "相关疾病": ["发热"]}


def test_citations_name_each_place_once(kb: KnowledgeBase) -> None:
    assert contents.citations(kb.facts("感冒")) == ("甲 甲.jsonl:3", "乙 乙.jsonl:1")


def test_statistics_count_what_is_there(kb: KnowledgeBase) -> None:
    counts = statistics(kb)
    assert counts.entities == {"disease": 2, "symptom": 1}
    assert (counts.aliases, counts.facts, counts.passages) == (5, 9, 1)
    assert counts.attributes == {"药物治疗": 4, "临床症状及体征": 4, "相关疾病": 1}
    assert [source.name for source in counts.sources] == ["甲", "乙"]
    assert counts.size > 0

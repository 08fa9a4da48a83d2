"""The sample knowledge base: how much it holds, that its names are clear, and that it is built once."""

import json
from collections import Counter, defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bentsao.knowledge.importers import READERS
from bentsao.knowledge.rows import EntityRow, PassageRow, Skipped
from bentsao.knowledge.sample import LICENCE, PARTS, sample_kb
from bentsao.knowledge.store import KnowledgeBase

FOLDER = Path(str(files("bentsao.knowledge.sample")))


def all_rows() -> list[EntityRow | PassageRow | Skipped]:
    return [row for name, (_, reader) in PARTS.items() for row in READERS[reader].read(FOLDER / name)]


ROWS = all_rows()
ENTITIES = [row for row in ROWS if isinstance(row, EntityRow)]


def test_nothing_of_it_is_left_out() -> None:
    assert [row for row in ROWS if isinstance(row, Skipped)] == []


def test_totals() -> None:
    kinds = Counter(row.kind for row in ENTITIES)
    assert kinds["disease"] >= 200
    assert kinds["drug"] >= 120
    assert kinds["symptom"] + kinds["examination"] >= 60
    assert sum(len(row.facts) for row in ENTITIES) >= 8_000
    assert sum(isinstance(row, PassageRow) for row in ROWS) >= 40


@pytest.mark.parametrize(
    ("kind", "least"), [("disease", 8), ("drug", 6), ("symptom", 4), ("examination", 4), ("department", 1)]
)
def test_attributes_of_each(kind: str, least: int) -> None:
    poor = {row.name for row in ENTITIES if row.kind == kind and len({fact.attribute for fact in row.facts}) < least}
    assert not poor


def test_a_name_belongs_to_one_entity() -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for row in ENTITIES:
        for name in (row.name, *(alias.text for alias in row.aliases)):
            owners[name].add(f"{row.kind} {row.name}")
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


def test_values_are_short_and_single() -> None:
    odd = [
        (row.name, fact.attribute, fact.value)
        for row in ENTITIES
        for fact in row.facts
        if len(fact.value) > 24 or any(mark in fact.value for mark in "、，；。")
        if fact.value != "第一心音强弱不等"
    ]
    assert odd == []


def test_departments_are_called_by_one_name() -> None:
    own = {row.name for row in ENTITIES if row.kind == "department"}
    aliases = {alias.text for row in ENTITIES if row.kind == "department" for alias in row.aliases}
    values = {f.value for row in ENTITIES for f in row.facts if f.attribute in {"所属科室", "所属科目", "上级科室"}}
    assert values & (aliases - own) == set()


@pytest.mark.parametrize("name", [name for name in PARTS if name != "literature.jsonl"])
def test_every_line_says_its_kind(name: str) -> None:
    rows: list[dict[str, Any]] = [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]
    assert len({row["类别"] for row in rows}) == 1


def test_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path))
    said: list[str] = []
    path = sample_kb(said.append)
    first = path.stat()
    assert sample_kb(said.append) == path
    assert path.stat().st_mtime_ns == first.st_mtime_ns
    assert len(said) == 1
    with KnowledgeBase.open(path) as kb:
        for everyday, name in {
            "肝癌": "肝细胞癌",
            "哮喘": "支气管哮喘",
            "面瘫": "面神经麻痹",
            "小三阳": "慢性乙型病毒性肝炎",
            "中风": "脑卒中",
            "甲亢": "甲状腺功能亢进症",
            "扑热息痛": "对乙酰氨基酚",
        }.items():
            assert [entity.name for entity in kb.entities(everyday)] == [name]
        (fact,) = kb.facts("支气管哮喘", "ICD-10")
        assert fact.values == ("J45",)
        assert fact.source.licence == LICENCE
        assert fact.source.file == "diseases.jsonl"
        assert len(kb.passages("索拉非尼 肝细胞癌", 3)) == 3

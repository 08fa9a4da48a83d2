"""The real files, where they are there: everything is read, and what is left out is counted by reason."""

import os
from collections import Counter
from pathlib import Path

import pytest

from bentsao.knowledge.importers import READERS, detect, disease_csv, drug_text, values
from bentsao.knowledge.rows import EntityRow, PassageRow, Skipped

DATA = Path(os.environ.get("BENTSAO_SHARED_DATA", Path(__file__).parents[3] / "../shared/data"))


def read(name: str, reader: str) -> tuple[list[EntityRow], Counter[str]]:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} 不在（用 BENTSAO_SHARED_DATA 指定开发数据的目录）")
    assert detect(path) == reader
    entities: list[EntityRow] = []
    skipped: Counter[str] = Counter()
    for row in READERS[reader].read(path):
        assert not isinstance(row, PassageRow)
        if isinstance(row, Skipped):
            skipped[row.reason] += 1
        else:
            entities.append(row)
    return entities, skipped


def test_disease_csv() -> None:
    entities, skipped = read("disease.csv", "disease_csv")
    refused_rows = skipped[disease_csv.SHIFTED] + sum(n for reason, n in skipped.items() if reason.startswith("名称："))
    assert len(entities) + refused_rows == 14_336
    assert skipped[disease_csv.SHIFTED] == 11
    assert len({row.name for row in entities}) > 9_000
    assert sum(len(row.facts) for row in entities) > 230_000
    assert skipped[values.CUT] > 4_000
    assert not any("..." in fact.value or "[详细]" in fact.value for row in entities for fact in row.facts)


def test_drug_json() -> None:
    entities, skipped = read("drug.json", "drug_text")
    assert len(entities) == 2_441 - 5
    assert skipped[f"名称：{values.EMPTY}"] == 5
    assert skipped[drug_text.SCRAMBLED] > 100
    with_indication = {row.name for row in entities if any(fact.attribute == "适应症" for fact in row.facts)}
    assert len(with_indication) > 0.85 * len({row.name for row in entities})
    doses = [fact.value for row in entities for fact in row.facts if fact.attribute == "用法用量"]
    assert not any(dose.endswith("mg/m") for dose in doses)


def test_cmeie() -> None:
    entities, skipped = read("cmeie_dev.jsonl", "cmeie")
    said = sum(len(row.facts) + len(row.aliases) for row in entities)
    assert said > 0.98 * 10_626
    assert not any(reason.startswith(values.UNMAPPED) for reason in skipped)

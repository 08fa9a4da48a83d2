"""The gold questions on the sample knowledge base: what linking must reach (issue 3)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bentsao.knowledge.linking import Linker
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase

GOLD = Path(__file__).parents[1] / "gold_links.jsonl"


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Linker:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTSAO_CACHE", str(tmp_path_factory.mktemp("cache")))
        with KnowledgeBase.open(sample_kb()) as kb:
            return Linker.for_kb(kb)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_aims_are_reached(linker: Linker, split: str) -> None:
    counts = Counter[str]()
    for line in GOLD.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["kb"] != "sample" or row["split"] != split:
            continue
        linked = linker.link(row["question"], row["history"])
        if row["entities"]:
            counts["entities"] += 1
            first = linked.entities[0].name if linked.entities else None
            counts["right entities"] += first in (row.get("accept") or row["entities"])
        else:
            counts["without entity"] += 1
            counts["false entities"] += bool(linked.entities)
        if row["attributes"]:
            counts["attributes"] += 1
            counts["right attributes"] += bool(linked.attributes) and linked.attributes[0].name in row["attributes"]
    assert counts["entities"] > 50
    assert counts["without entity"] > 10
    assert counts["right entities"] >= 0.97 * counts["entities"], counts
    assert counts["right attributes"] >= 0.95 * counts["attributes"], counts
    assert counts["false entities"] <= 0.03 * counts["without entity"], counts

"""Rows to tune an adapter on one's own base with, for the figures in docs/grounded.md.

    bentsao build grounded --kb real.kb --rows 9000 --no-filters --seed 42 --out grounded
    python benchmarks/knowledge_rows.py --kb real.kb --built grounded --out rows

Writes rows/train.jsonl and rows/valid.jsonl: a third premises, no row that names an entity of the questions by hand.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

from bentsao.construction.grammar import load_grammar
from bentsao.construction.subjects import gather
from bentsao.core.files import write_jsonl
from bentsao.core.splits import NameFinder
from bentsao.knowledge.store import KnowledgeBase

WANTED = {
    "premise_true": 420, "premise_false": 460, "drug_true": 110, "drug_false": 110, "lay": 520, "clinician": 200,
    "exam": 90, "vignette": 200, "several": 170, "compare": 110, "follow_up": 150, "turn": 40, "missing": 100,
    "unknown": 100, "invented": 200, "triage": 30, "vague": 10,
}  # fmt: skip
"""Rows of each form, where there are so many."""

BY_HAND = Path(__file__).with_name("everyday_questions.jsonl")


def main() -> None:
    """Choose the rows and say how many they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", type=Path, required=True)
    parser.add_argument("--built", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    with KnowledgeBase.open(asked.kb) as kb:
        named = gather(kb, load_grammar()).named
    by_hand = {name for row in _read(BY_HAND) for name in row["entities"]}
    finder = NameFinder([name for name, subject in named.items() if subject.name in by_hand])
    rng, forms = Random(5), defaultdict[str, list[dict[str, Any]]](list)
    for row in _read(asked.built / "train.jsonl"):
        if not any(finder.find(message["content"]) for message in row["messages"]):
            forms[row["made"]["form"]].append(row)
    chosen: list[dict[str, Any]] = []
    for form, count in WANTED.items():
        rng.shuffle(forms[form])
        chosen += forms[form][:count]
    rng.shuffle(chosen)
    valid = _read(asked.built / "valid.jsonl")
    rng.shuffle(valid)
    asked.out.mkdir(parents=True, exist_ok=True)
    write_jsonl(asked.out / "train.jsonl", chosen)
    write_jsonl(asked.out / "valid.jsonl", valid[:96])
    print(f"{len(chosen)} rows to train on")


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    main()

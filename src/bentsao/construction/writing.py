"""A data set on disk: `train.jsonl`, `valid.jsonl`, `test.jsonl`, what was refused, and a manifest that says all of it.

The same knowledge base, grammar, size and seed give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from bentsao.construction.composer import Tally
from bentsao.construction.datasets import DATASETS, Order, Row
from bentsao.construction.grammar import Grammar, load_grammar
from bentsao.construction.shares import SPLITS, Split, split_of
from bentsao.construction.subjects import Material, gather, values_of
from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_file, sha256_text, whole_folder, write_json
from bentsao.core.records import Record
from bentsao.knowledge.contents import passages
from bentsao.knowledge.schema import Kind
from bentsao.knowledge.store import KnowledgeBase

MANIFEST_NAME = "manifest.json"


class BuildOptions(Record):
    """What is built. rows: about how many over all splits. shares: of each split; together 1. kinds: None means all.

    exclude: names of entities that no row may be about, in any split.
    """

    dataset: str
    rows: int = Field(ge=1)
    seed: int = 42
    shares: dict[Split, float] = Field(default_factory=lambda: {"train": 0.9, "valid": 0.05, "test": 0.05})
    kinds: tuple[Kind, ...] | None = None
    exclude: tuple[str, ...] = ()


@dataclass
class Count:
    """Rows by form, attribute and difficulty, and by subject and attribute."""

    rows: Counter[str] = field(default_factory=Counter[str])
    forms: Counter[str] = field(default_factory=Counter[str])
    attributes: Counter[str] = field(default_factory=Counter[str])
    difficulties: Counter[str] = field(default_factory=Counter[str])
    pairs: set[int] = field(default_factory=set[int])

    def add(self, split: str, row: Row) -> None:
        """One row more."""
        self.rows[split] += 1
        self.forms[row.made.form if row.made else ""] += 1
        self.difficulties[row.made.difficulty if row.made else ""] += 1
        for attribute in {item.fact.attribute for item in row.evidence}:
            self.attributes[attribute] += 1
        self.pairs |= {hash((item.fact.subject, item.fact.attribute)) for item in row.evidence}


def build(
    kb: KnowledgeBase,
    options: BuildOptions,
    out: Path,
    *,
    keep: Callable[[Row], str | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Build a data set into the folder `out`, whole or not at all; returns the manifest.

    keep: gives the reason why a row is to be refused, or None (the filters). progress: called with (rows, about all).
    Raises ConfigError for an unknown data set, shares that are none, and a knowledge base without usable facts.
    """
    make = DATASETS.get(options.dataset)
    if make is None:
        raise ConfigError(f"没有名为 {options.dataset!r} 的数据集。可用：{'、'.join(DATASETS)}。")
    if any(share < 0 for share in options.shares.values()) or abs(sum(options.shares.values()) - 1) > 1e-6:
        raise ConfigError(f"各部分的份额 {options.shares} 应都不小于 0，合起来是 1。")
    grammar = load_grammar()
    whole = gather(kb, grammar, kinds=options.kinds)
    excluded = {subject.name for name in options.exclude if (subject := whole.named.get(name))}
    material = whole.part(lambda subject: subject.name not in excluded)
    if not material.subjects:
        raise ConfigError("知识库里没有能写成问答的事实。用 bentsao kb stats 看看里面有什么。")
    documents = list(passages(kb))
    tally, count = Tally(), Count()
    refused: list[dict[str, Any]] = []
    with whole_folder(out) as folder:
        for split in SPLITS:
            share = options.shares.get(split, 0.0)
            if not share:
                continue
            order = Order(
                material=material.part(lambda s, split=split: split_of(s.name, options.seed, options.shares) == split),
                passages=[p for p in documents if _split(p.identifier or p.title, options) == split],
                grammar=grammar,
                rows=round(options.rows * share),
                split=split,
                seed=options.seed,
                tally=tally,
            )
            if not order.material.subjects:
                continue
            rows = _kept(make(order), keep, tally, refused)
            _write(folder / f"{split}.jsonl", _counted(rows, split, count, options.rows, progress))
        _write_refused(folder / "refused.jsonl", refused)
        manifest = _manifest(kb, options, grammar, whole=whole, excluded=excluded, tally=tally, count=count)
        manifest["files"] = {file.name: sha256_file(file) for file in sorted(folder.glob("*.jsonl"))}
        write_json(folder / MANIFEST_NAME, manifest)
    return manifest


def _split(name: str, options: BuildOptions) -> Split:
    return split_of(name, options.seed, options.shares)


def _kept(
    rows: Iterable[Row], keep: Callable[[Row], str | None] | None, tally: Tally, refused: list[dict[str, Any]]
) -> Iterator[Row]:
    for row in rows:
        reason = keep(row) if keep else None
        if reason is None:
            yield row
        else:
            tally.refuse(f"过滤：{reason}", row.messages[0].content)
            refused.append({"reason": reason, **row.model_dump(mode="json")})


def _counted(
    rows: Iterable[Row], split: str, count: Count, total: int, progress: Callable[[int, int], None] | None
) -> Iterator[Row]:
    for row in rows:
        count.add(split, row)
        yield row
        if progress and count.rows.total() % 200 == 0:
            progress(count.rows.total(), total)


def _write(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            # Empty fields say nothing, and are most of a row.
            out.write(json.dumps(row.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) + "\n")


def _write_refused(path: Path, refused: list[dict[str, Any]]) -> None:
    if refused:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in refused), encoding="utf-8")


def _manifest(
    kb: KnowledgeBase,
    options: BuildOptions,
    grammar: Grammar,
    *,
    whole: Material,
    excluded: set[str],
    tally: Tally,
    count: Count,
) -> dict[str, Any]:
    pairs = Counter(attribute for subject in whole.subjects for attribute in subject.facts)
    values = Counter(dict.fromkeys(pairs, 0))
    for subject in whole.subjects:
        for attribute, facts in subject.facts.items():
            values[attribute] += len(values_of(facts))
    return {
        "dataset": options.dataset,
        "options": options.model_dump(mode="json"),
        "knowledge_base": {"version": kb.version, "sources": [source.name for source in kb.sources()]},
        "grammar": {"hash": sha256_text(repr(grammar))[:16], "question_patterns": grammar.questions()},
        "rows": dict(count.rows),
        "forms": _ordered(count.forms),
        "difficulties": _ordered(count.difficulties),
        "coverage": {
            "entities": len(whole.subjects),
            "entity_attribute_pairs": pairs.total(),
            "pairs_used": len(count.pairs),
            "attributes": {
                name: {"pairs": number, "values": values[name], "rows": count.attributes[name]}
                for name, number in pairs.most_common()
            },
        },
        "left_out": _ordered(whole.left_out),
        "excluded_entities": sorted(excluded),
        "refused": _ordered(tally.refused),
        "refused_examples": tally.examples,
        "unfilled": _ordered(tally.unfilled),
    }


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

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
from bentsao.construction.datasets import DATASETS, Order
from bentsao.construction.diversity import diversity, rank
from bentsao.construction.filtering import ordered, refused_path
from bentsao.construction.filters import FILTERS
from bentsao.construction.grammar import Grammar, load_grammar
from bentsao.construction.shares import SPLITS, Split, split_of
from bentsao.construction.sieve import Row, Sieve, as_conversation
from bentsao.construction.subjects import Material, gather, values_of
from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_file, sha256_text, whole_folder, write_json
from bentsao.core.records import Conversation, Record
from bentsao.knowledge.contents import passages
from bentsao.knowledge.schema import Kind
from bentsao.knowledge.store import KnowledgeBase

MANIFEST_NAME = "manifest.json"
_NO_SOURCE = "（没有依据的行）"
_SAMPLED = 5_000
"""Rows that the diversity is measured on, about: what is kept of the rows does not grow with them."""


class BuildOptions(Record):
    """What is built. rows: about how many over all splits. shares: of each split; together 1. kinds: None means all.

    exclude: names of entities that no row may be about, in any split. filters: names of those that every row must pass;
    empty for none. minimum: rows that each attribute should have; the manifest lists those with fewer.
    """

    dataset: str
    rows: int = Field(ge=1)
    seed: int = 42
    shares: dict[Split, float] = Field(default_factory=lambda: {"train": 0.9, "valid": 0.05, "test": 0.05})
    kinds: tuple[Kind, ...] | None = None
    exclude: tuple[str, ...] = ()
    filters: tuple[str, ...] = tuple(FILTERS)
    minimum: int = 10


@dataclass
class Count:
    """Rows by split, form, difficulty, attribute and source, and a sample of them.

    `attributes`: by attribute, the rows of each form and difficulty. `sample`: rows drawn by their id.
    """

    expected: int
    rows: Counter[str] = field(default_factory=Counter[str])
    forms: Counter[str] = field(default_factory=Counter[str])
    difficulties: Counter[str] = field(default_factory=Counter[str])
    sources: Counter[str] = field(default_factory=Counter[str])
    attributes: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict[str, Counter[tuple[str, str]]])
    pairs: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    sample: list[Conversation] = field(default_factory=list[Conversation])

    def add(self, split: str, row: Row) -> None:
        """One row more."""
        form, difficulty = (row.made.form, row.made.difficulty) if row.made else ("", "")
        self.rows[split] += 1
        self.forms[form] += 1
        self.difficulties[difficulty] += 1
        for attribute in {item.fact.attribute for item in row.evidence}:
            self.attributes.setdefault(attribute, Counter())[form, difficulty] += 1
        sources = {item.fact.source.name for item in row.evidence} or ({row.source.name} if row.source else set[str]())
        self.sources.update(sources or {_NO_SOURCE})
        self.pairs |= {(item.fact.subject, item.fact.attribute) for item in row.evidence if form != "invented"}
        if rank(row.id, 0) % max(1, -(-self.expected // _SAMPLED)) == 0:
            one = as_conversation(row)
            self.sample.append(Conversation(id=one.id, group=one.group, messages=one.messages))


def build(
    kb: KnowledgeBase,
    options: BuildOptions,
    out: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Build a data set into the folder `out`, whole or not at all; returns the manifest.

    Rows that a filter refuses are replaced and kept beside the others with their reasons, in `*.refused.jsonl`.
    progress: called with (rows, about all). Raises ConfigError for an unknown data set or filter, shares that are none,
    and a knowledge base without usable facts.
    """
    make = DATASETS.get(options.dataset)
    if make is None:
        raise ConfigError(f"没有名为 {options.dataset!r} 的数据集。可用：{'、'.join(DATASETS)}。")
    if any(share < 0 for share in options.shares.values()) or abs(sum(options.shares.values()) - 1) > 1e-6:
        raise ConfigError(f"各部分的份额 {options.shares} 应都不小于 0，合起来是 1。")
    filters = ordered(options.filters)
    grammar = load_grammar()
    whole = gather(kb, grammar, kinds=options.kinds)
    excluded = {subject.name for name in options.exclude if (subject := whole.named.get(name))}
    material = whole.part(lambda subject: subject.name not in excluded)
    if not material.subjects:
        raise ConfigError("知识库里没有能写成问答的事实。用 bentsao kb stats 看看里面有什么。")
    documents = list(passages(kb))
    without: list[Split] = []
    tally, count, sieve = Tally(), Count(options.rows), Sieve(whole, filters)
    with whole_folder(out) as folder:
        for split in SPLITS:
            share = options.shares.get(split, 0.0)
            order = Order(
                material=material.part(lambda s, split=split: _split(s.name, options) == split),
                passages=[p for p in documents if _split(p.identifier or p.title, options) == split],
                grammar=grammar,
                rows=round(options.rows * share),
                split=split,
                seed=options.seed,
                tally=tally,
                judge=sieve.judge,
            )
            if not share or not order.material.subjects:
                if share:
                    without.append(split)
                continue
            path = folder / f"{split}.jsonl"
            with refused_path(path).open("w", encoding="utf-8", newline="\n") as refused:
                sieve.refused = refused
                _write(path, _counted(make(order), split, count, options.rows, progress))
            if not refused_path(path).stat().st_size:
                refused_path(path).unlink()
        manifest = _manifest(
            kb, options, grammar, whole=whole, excluded=excluded, tally=tally, count=count, sieve=sieve
        )
        manifest["files"] = {file.name: sha256_file(file) for file in sorted(folder.glob("*.jsonl"))}
        manifest["without_entities"] = without
        write_json(folder / MANIFEST_NAME, manifest)
    return manifest


def _split(name: str, options: BuildOptions) -> Split:
    return split_of(name, options.seed, options.shares)


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


def _manifest(
    kb: KnowledgeBase,
    options: BuildOptions,
    grammar: Grammar,
    *,
    whole: Material,
    excluded: set[str],
    tally: Tally,
    count: Count,
    sieve: Sieve,
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
        "sources": _ordered(count.sources),
        "coverage": {
            "entities": len(whole.subjects),
            "entity_attribute_pairs": pairs.total(),
            "pairs_used": len(count.pairs),
            "minimum_rows_per_attribute": options.minimum,
            "below_minimum": [
                name for name in sorted(pairs) if count.attributes.get(name, Counter()).total() < options.minimum
            ],
            "attributes": {
                name: {"pairs": number, "values": values[name], **_covered(count.attributes.get(name, Counter()))}
                for name, number in pairs.most_common()
            },
        },
        "filters": {"names": list(sieve.names), **sieve.tally.as_json()},
        "diversity": diversity(count.sample).model_dump(mode="json"),
        "left_out": _ordered(whole.left_out),
        "excluded_entities": sorted(excluded),
        "refused": _ordered(tally.refused),
        "refused_examples": tally.examples,
        "unfilled": _ordered(tally.unfilled),
    }


def _covered(rows: Counter[tuple[str, str]]) -> dict[str, Any]:
    """The rows of an attribute, by form and by difficulty."""
    forms, difficulties = Counter[str](), Counter[str]()
    for (form, difficulty), number in rows.items():
        forms[form] += number
        difficulties[difficulty] += number
    return {"rows": rows.total(), "forms": _ordered(forms), "difficulties": _ordered(difficulties)}


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

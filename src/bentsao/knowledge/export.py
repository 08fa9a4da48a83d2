"""A knowledge base as files for other programs. `FORMS` is the list; files are written whole or not at all.

- `jsonl`: CMeKG's form, one entity a line, which `kb import` reads back (without sources).
- `csv`: triples with their sources, one value a row, which `kb import` reads back; opens in a spreadsheet.
- `neo4j`: a folder with nodes and relationships for `neo4j-admin database import`.
- `literature`: the passages as JSON lines, which `kb import` reads back.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from bentsao.core.cells import as_cell
from bentsao.core.errors import ConfigError
from bentsao.core.files import whole_file, whole_folder, write_jsonl
from bentsao.core.records import Fact, Record
from bentsao.knowledge import contents
from bentsao.knowledge.schema import ALIAS_TYPES, ATTRIBUTES, KINDS
from bentsao.knowledge.store import Entity, KnowledgeBase, Passage

TRIPLE_COLUMNS = ("实体", "类别", "属性", "值", "限定", "来源", "文件", "行", "许可")

NODES, RELATIONSHIPS = "nodes.csv", "relationships.csv"
NODE_COLUMNS = ("id:ID", "name", "aliases:string[]", ":LABEL")
RELATIONSHIP_COLUMNS = (":START_ID", ":END_ID", "qualifier", "source", "file", "row:int", "licence", ":TYPE")
VALUE_LABEL = "值"


class Exported(Record):
    """What was written; `facts` count values. `left_out`: passages that this form does not hold."""

    path: str
    form: str
    entities: int = 0
    facts: int = 0
    passages: int = 0
    left_out: int = 0


def export(kb: KnowledgeBase, out: Path, form: str) -> Exported:
    """Write the knowledge base to a file, or for neo4j to a folder.

    form: a key of FORMS. Raises ConfigError for another, for a folder where a file is to be written, and for a folder
    that holds files that are not ours.
    """
    if form not in FORMS:
        raise ConfigError(f"不认识导出格式 {form!r}。可用：{'、'.join(FORMS)}。")
    if out.is_dir() and form != "neo4j":
        raise ConfigError(f"{out} 是一个目录，{form} 格式要写到文件里。请给出文件名。")
    done = FORMS[form](kb, out)
    return done.model_copy(update={"left_out": sum(source.passages for source in kb.sources()) - done.passages})


def _jsonl(kb: KnowledgeBase, out: Path) -> Exported:
    facts = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal facts
        for entity in contents.entities(kb):
            row = cmekg_row(entity, kb.facts(entity.id))
            facts += sum(len(row[name]) for name in row.keys() & ATTRIBUTES.keys())
            yield row

    entities = write_jsonl(out, rows())
    return Exported(path=str(out), form="jsonl", entities=entities, facts=facts)


def cmekg_row(entity: Entity, facts: Iterable[Fact]) -> dict[str, Any]:
    """An entity in CMeKG's form; a value that holds only under a condition is `{"值": …, "限定": …}`."""
    row: dict[str, Any] = {"中心词": entity.name, "类别": KINDS[entity.kind]}
    for alias in entity.aliases:
        row.setdefault(ALIAS_TYPES[alias.type], []).append(alias.text)
    for fact in facts:
        values = row.setdefault(fact.attribute, [])
        for value in fact.values:
            said = value if fact.qualifier is None else {"值": value, "限定": fact.qualifier}
            if said not in values:
                values.append(said)
    return row


def _csv(kb: KnowledgeBase, out: Path) -> Exported:
    """With a byte order mark, by which spreadsheets know UTF-8, and no cell that they take for a formula."""
    entities = facts = 0
    with whole_file(out) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TRIPLE_COLUMNS)
        for entity in contents.entities(kb):
            entities += 1
            head = (entity.name, KINDS[entity.kind])
            told = kb.facts(entity.id)
            aliases = [(ALIAS_TYPES[alias.type], alias.text) for alias in entity.aliases]
            if not told and not aliases:  # an entity of which nothing is said would be lost
                aliases = [(ALIAS_TYPES["synonym"], entity.name)]
            writer.writerows(map(as_cell, (*head, *alias, *[""] * 5)) for alias in aliases)
            for fact in told:
                tail = (fact.qualifier or "", *_source(fact))
                writer.writerows(map(as_cell, (*head, fact.attribute, value, *tail)) for value in fact.values)
                facts += len(fact.values)
    return Exported(path=str(out), form="csv", entities=entities, facts=facts)


def _neo4j(kb: KnowledgeBase, out: Path) -> Exported:
    """Entities are nodes labelled with their kind; a value is the entity that it names, else a node of its own."""
    if out.is_dir() and {path.name for path in out.iterdir()} - {NODES, RELATIONSHIPS}:
        raise ConfigError(f"目录 {out} 里有别的文件，导出会覆盖整个目录。请换一个新目录。")
    named: dict[str, int] = {}
    for text, entity, _, own in kb.names():
        if own or text not in named:
            named[text] = entity
    values: dict[tuple[str, str], str] = {}
    entities = facts = 0
    with (
        whole_folder(out) as folder,
        (folder / NODES).open("w", encoding="utf-8", newline="") as nodes_file,
        (folder / RELATIONSHIPS).open("w", encoding="utf-8", newline="") as relationships_file,
    ):
        nodes, relationships = csv.writer(nodes_file), csv.writer(relationships_file)
        nodes.writerow(NODE_COLUMNS)
        relationships.writerow(RELATIONSHIP_COLUMNS)
        for entity in contents.entities(kb):
            entities += 1
            aliases = ";".join(alias.text.replace(";", "；") for alias in entity.aliases)
            nodes.writerow((f"e{entity.id}", entity.name, aliases, KINDS[entity.kind]))
            for fact in kb.facts(entity.id):
                kind = ATTRIBUTES[fact.attribute].values
                tail = (fact.qualifier or "", *_source(fact), fact.attribute)
                for value in fact.values:
                    facts += 1
                    if kind and value in named:
                        end = f"e{named[value]}"
                    else:
                        end = values.setdefault((value, KINDS[kind] if kind else VALUE_LABEL), f"v{len(values) + 1}")
                    relationships.writerow((f"e{entity.id}", end, *tail))
        nodes.writerows((number, value, "", label) for (value, label), number in values.items())
    return Exported(path=str(out), form="neo4j", entities=entities, facts=facts)


def _literature(kb: KnowledgeBase, out: Path) -> Exported:
    count = write_jsonl(out, (_literature_row(passage) for passage in contents.passages(kb)))
    return Exported(path=str(out), form="literature", passages=count)


def _literature_row(passage: Passage) -> dict[str, Any]:
    row = {
        "标题": passage.title,
        "结论": passage.text,
        "关键词": list(passage.keywords),
        "期刊": passage.journal,
        "年份": passage.year,
        "卷期页": passage.locator,
        "标识": passage.identifier,
    }
    return {key: value for key, value in row.items() if value}


def _source(fact: Fact) -> tuple[str, str, str, str]:
    source = fact.source
    return source.name, source.file, "" if source.row is None else str(source.row), source.licence


FORMS: dict[str, Callable[[KnowledgeBase, Path], Exported]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "neo4j": _neo4j,
    "literature": _literature,
}
"""The forms by name."""

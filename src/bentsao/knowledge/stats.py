"""How much a knowledge base holds, and of what."""

from __future__ import annotations

from contextlib import closing

from bentsao.core.records import Record
from bentsao.knowledge.database import connect_reader, explained
from bentsao.knowledge.schema import Kind
from bentsao.knowledge.store import KnowledgeBase, StoredSource


class Statistics(Record):
    """Counts. `facts` are values; `entities` by kind, `attributes` are facts by attribute; `size` in bytes."""

    path: str
    version: str
    size: int
    entities: dict[Kind, int]
    aliases: int
    facts: int
    attributes: dict[str, int]
    passages: int
    sources: tuple[StoredSource, ...]


def statistics(kb: KnowledgeBase) -> Statistics:
    """Count what there is; two sources that say the same count twice in `facts` and `attributes`."""
    with explained(kb.path), closing(connect_reader(kb.path)) as connection:
        entities = dict(connection.execute("SELECT kind, count(*) FROM entity GROUP BY kind ORDER BY 2 DESC"))
        sql = "SELECT a.name, count(*) FROM fact f JOIN attribute a ON a.id = f.attribute GROUP BY 1 ORDER BY 2 DESC"
        attributes = dict(connection.execute(sql))
        (names,) = connection.execute("SELECT count(*) FROM (SELECT DISTINCT term, entity FROM name)").fetchone()
        (passages,) = connection.execute("SELECT count(*) FROM passage").fetchone()
    return Statistics(
        path=str(kb.path),
        version=kb.version,
        size=kb.path.stat().st_size,
        entities=entities,
        aliases=names - sum(entities.values()),
        facts=sum(attributes.values()),
        attributes=attributes,
        passages=passages,
        sources=tuple(kb.sources()),
    )

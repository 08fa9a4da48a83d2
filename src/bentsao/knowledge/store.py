"""The knowledge base as its readers see it: names → entities → facts with their sources, passages, search.

Reading only; `writing.py` imports and removes. A reader sees the last finished import, also while the next one is
being written, and may be shared by threads.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from bentsao.core.records import Fact, Record, Source
from bentsao.knowledge.database import StoreError, connect_reader, connect_writer, explained
from bentsao.knowledge.rows import Alias, SourceInfo
from bentsao.knowledge.schema import Kind
from bentsao.knowledge.search import nearest

FACTS_A_TERM = 3  # facts that one value found brings into the search results


class Entity(Record):
    """Something that facts are about. `id` is good for this knowledge base at this version only."""

    id: int
    name: str
    kind: Kind
    aliases: tuple[Alias, ...] = ()


class Passage(Record):
    """A piece of literature; `year` None and empty texts where the source does not say."""

    id: int
    title: str
    text: str
    keywords: tuple[str, ...] = ()
    journal: str = ""
    year: int | None = None
    locator: str = ""
    identifier: str = ""
    source: Source


class Hit(Record):
    """Something found: an entity, a fact with the one value that was found, or a passage; the other two are None.

    `score` is between 0 and 1.
    """

    score: float
    entity: Entity | None = None
    fact: Fact | None = None
    passage: Passage | None = None


class StoredSource(SourceInfo):
    """A source and how much it brought in."""

    entities: int
    aliases: int
    facts: int
    passages: int


# CROSS JOIN keeps SQLite to this order: the entity and its name once, then its facts, which lie together.
_FACTS_OF_ENTITY = """
    SELECT s.text, a.name, f.source, f.row, o.name, o.file, o.licence, q.text, v.text
    FROM entity e CROSS JOIN term s ON s.id = e.term CROSS JOIN fact f ON f.entity = e.id
    CROSS JOIN attribute a ON a.id = f.attribute CROSS JOIN source o ON o.id = f.source
    CROSS JOIN term v ON v.id = f.value LEFT JOIN qualifier q ON q.id = f.qualifier
    WHERE e.id = ? {and_attribute} ORDER BY f.attribute, f.source, f.row, f.place"""
FACTS = _FACTS_OF_ENTITY.format(and_attribute="")
FACTS_OF_ATTRIBUTE = _FACTS_OF_ENTITY.format(
    and_attribute="AND f.attribute = (SELECT id FROM attribute WHERE name = ?)"
)
FACTS_WITH_VALUE = """
    SELECT s.text, a.name, f.source, f.row, o.name, o.file, o.licence, q.text, v.text
    FROM term v CROSS JOIN fact f ON f.value = v.id CROSS JOIN entity e ON e.id = f.entity
    CROSS JOIN term s ON s.id = e.term CROSS JOIN attribute a ON a.id = f.attribute
    CROSS JOIN source o ON o.id = f.source LEFT JOIN qualifier q ON q.id = f.qualifier
    WHERE v.id = ? LIMIT ?"""
PASSAGE = """
    SELECT p.id, p.title, p.text, p.keywords, p.journal, p.year, p.locator, p.identifier,
        p.row, o.name, o.file, o.licence
    FROM passage p JOIN source o ON o.id = p.source"""


class KnowledgeBase:
    """A knowledge base opened for reading. `KnowledgeBase.open(path)` makes one; close it, or use it in `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, sqlite3.Connection] = {}
        self._closed = False
        self._connection()

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> KnowledgeBase:
        """Open the file. create: make an empty knowledge base where there is no file.

        Raises MissingError if there is no file, StoreError if it is damaged, foreign or of a newer version.
        """
        if create and not path.exists():
            connect_writer(path).close()
        return cls(path)

    def close(self) -> None:
        """Close the connections of all threads; the knowledge base cannot be used afterwards."""
        with self._lock:
            self._closed = True
            while self._connections:
                self._connections.popitem()[1].close()

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def version(self) -> str:
        """A fingerprint that changes with every import and removal.

        Equal fingerprints mean equal contents and equal ids, also in different files; '' is an empty knowledge base.
        """
        return self._rows("SELECT fingerprint FROM version")[0][0]

    def sources(self) -> list[StoredSource]:
        """Where the contents come from, in the order of import."""
        sql = "SELECT name, file, licence, sha256, entities, aliases, facts, passages FROM source ORDER BY id"
        fields = ("name", "file", "licence", "sha256", "entities", "aliases", "facts", "passages")
        return [StoredSource(**dict(zip(fields, row, strict=True))) for row in self._rows(sql)]

    # ---- entities ----------------------------------------------------------------------------------------------------

    def entities(self, name: str) -> list[Entity]:
        """All entities with this name or alias, exactly as written; those whose own name it is come first."""
        with self._snapshot():
            return [self._entity(entity) for entity in self._named(name)]

    def entity(self, name: str) -> Entity | None:
        """The first of `entities(name)`; None where there is none."""
        with self._snapshot():
            return next((self._entity(entity) for entity in self._named(name)), None)

    def subjects(self, attribute: str, value: str) -> list[Entity]:
        """The entities that have this value, exactly as written (which diseases have the symptom 发热), by id."""
        sql = (
            "SELECT DISTINCT f.entity FROM term t CROSS JOIN fact f ON f.value = t.id "
            "WHERE t.text = ? AND f.attribute = (SELECT id FROM attribute WHERE name = ?) ORDER BY f.entity"
        )
        with self._snapshot():
            return [self._entity(entity) for (entity,) in self._rows(sql, value, attribute)]

    def names(self) -> Iterator[tuple[str, int, Kind, bool]]:
        """Every name of every entity, by id: (text, entity's id, its kind, whether it is the entity's own name)."""
        sql = (
            "SELECT t.text, e.id, e.kind, max(n.type = '') FROM entity e "
            "CROSS JOIN name n ON n.entity = e.id CROSS JOIN term t ON t.id = n.term GROUP BY e.id, n.term"
        )
        with explained(self.path):
            for text, entity, kind, own in self._connection().execute(sql):
                yield text, entity, kind, bool(own)

    def values(self, attributes: Iterable[str]) -> Iterator[str]:
        """Every value of these attributes, each once."""
        wanted = tuple(attributes)
        sql = (
            "SELECT t.text FROM term t WHERE t.id IN (SELECT f.value FROM fact f WHERE f.attribute IN "
            f"(SELECT id FROM attribute WHERE name IN ({', '.join('?' * len(wanted))})))"
        )
        with explained(self.path):
            for (text,) in self._connection().execute(sql, wanted):
                yield text

    # ---- facts -------------------------------------------------------------------------------------------------------

    def facts(self, entity: str | int, attribute: str | None = None) -> list[Fact]:
        """What is known of an entity, given by name or id; of one attribute or (None) of all.

        A Fact holds the values of one attribute from one row of one source under one condition, in the file's order.
        Empty where nothing is known, also for a name that no entity has.
        """
        sql, asked = (FACTS, ()) if attribute is None else (FACTS_OF_ATTRIBUTE, (attribute,))
        if isinstance(entity, int):
            return _facts(self._rows(sql, entity, *asked))
        with self._snapshot():
            return next((_facts(self._rows(sql, known, *asked)) for known in self._named(entity)), [])

    # ---- search ------------------------------------------------------------------------------------------------------

    def passages(self, query: str, limit: int = 5) -> list[Passage]:
        """The literature nearest to the query, best first; empty where nothing is near."""
        with self._snapshot() as connection:
            return [self._passage(passage) for passage, _ in nearest(connection, "passage", query, limit)]

    def search(self, text: str, limit: int = 10) -> list[Hit]:
        """Entities (by name), facts (by value) and passages nearest to the text, best first, at most `limit`."""
        entities: dict[int, Hit] = {}
        facts: list[Hit] = []
        with self._snapshot() as connection:
            for term, score in nearest(connection, "term", text, limit):
                for (entity,) in self._rows("SELECT DISTINCT entity FROM name WHERE term = ?", term):
                    entities.setdefault(entity, Hit(score=score, entity=self._entity(entity)))
                found = _facts(self._rows(FACTS_WITH_VALUE, term, FACTS_A_TERM))
                facts += [Hit(score=score, fact=fact) for fact in found]
            passages = [
                Hit(score=score, passage=self._passage(passage))
                for passage, score in nearest(connection, "passage", text, limit)
            ]
        return sorted([*entities.values(), *facts, *passages], key=lambda hit: -hit.score)[:limit]

    # ------------------------------------------------------------------------------------------------------------------

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection: SQLite answers one question at a time on each."""
        thread = threading.current_thread()
        return self._connections.get(thread) or self._connect(thread)

    def _connect(self, thread: threading.Thread) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise StoreError(f"知识库 {self.path} 已经关闭，不能再查询。")
            for ended in [other for other in self._connections if not other.is_alive()]:
                self._connections.pop(ended).close()
            connection = self._connections[thread] = connect_reader(self.path)
            return connection

    @contextmanager
    def _snapshot(self) -> Generator[sqlite3.Connection]:
        """Several queries that see the same version, whatever is imported meanwhile."""
        connection = self._connection()
        with explained(self.path):
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        with explained(self.path):
            return self._connection().execute(sql, parameters).fetchall()

    def _named(self, name: str) -> list[int]:
        """Ids of the entities with this name or alias, own names first."""
        sql = (
            "SELECT n.entity FROM term t CROSS JOIN name n ON n.term = t.id WHERE t.text = ? "
            "GROUP BY n.entity ORDER BY min(n.type <> ''), n.entity"
        )
        return [entity for (entity,) in self._rows(sql, name)]

    def _entity(self, entity: int) -> Entity:
        rows = self._rows(
            "SELECT t.text, n.type, e.kind FROM entity e CROSS JOIN name n ON n.entity = e.id "
            "CROSS JOIN term t ON t.id = n.term WHERE e.id = ? ORDER BY n.type <> '', n.source, n.term",
            entity,
        )
        name, _, kind = rows[0]
        aliases = {text: Alias(text, type_) for text, type_, _ in rows if text != name}
        return Entity(id=entity, name=name, kind=kind, aliases=tuple(aliases.values()))

    def _passage(self, passage: int) -> Passage:
        return passage_of(self._rows(f"{PASSAGE} WHERE p.id = ?", passage)[0])


def _facts(rows: list[Any]) -> list[Fact]:
    """Facts of rows of values: neighbours that share everything but the value become one."""
    grouped: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        grouped.setdefault(row[:-1], []).append(row[-1])
    return [
        Fact(
            subject=subject,
            attribute=attribute,
            values=tuple(values),
            source=Source(name=name, file=file, row=row, licence=licence),
            qualifier=qualifier,
        )
        for (subject, attribute, _, row, name, file, licence, qualifier), values in grouped.items()
    ]


def passage_of(row: tuple[Any, ...]) -> Passage:
    """The passage of one row of the query PASSAGE."""
    id_, title, text, keywords, journal, year, locator, identifier, number, name, file, licence = row
    return Passage(
        id=id_,
        title=title,
        text=text,
        keywords=tuple(keywords.split("\n")) if keywords else (),
        journal=journal,
        year=year,
        locator=locator,
        identifier=identifier,
        source=Source(name=name, file=file, row=number, licence=licence),
    )

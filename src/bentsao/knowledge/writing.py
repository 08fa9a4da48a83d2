"""Bringing rows into a knowledge base, and taking a source out of it: one transaction each, all of it or nothing.

A source is replaced by importing it again from another file; what other sources say stays as it is, and entities keep
their ids. Readers see the old contents until the new are complete, also if the writing process is killed.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pydantic import Field

from bentsao.core.errors import MissingError
from bentsao.core.files import sha256_text
from bentsao.core.records import Record
from bentsao.knowledge.database import StoreError, connect_writer, explained
from bentsao.knowledge.rows import EntityRow, PassageRow, Row, SourceInfo
from bentsao.knowledge.schema import ATTRIBUTES, KINDS, can_have
from bentsao.knowledge.search import add_to_index, remove_from_index
from bentsao.knowledge.terms import Numbers, Terms

BATCH = 50_000  # rows that are kept in memory before they go to the database
REPORT_EVERY = 200_000  # facts
EXAMPLES = 5


class ImportReport(Record):
    """What an import did. `facts` are values; `duplicates` were said before by the same source and are not counted.

    `skipped`: how many rows or values were left out, by reason; `examples`: some of them, by reason.
    `unchanged`: the same file was there already and nothing was read. `replaced`: an older one was.
    """

    source: str
    entities: int = 0
    aliases: int = 0
    facts: int = 0
    passages: int = 0
    duplicates: int = 0
    skipped: dict[str, int] = Field(default_factory=dict[str, int])
    examples: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    seconds: float = 0.0
    unchanged: bool = False
    replaced: bool = False


def import_rows(
    kb_path: Path,
    rows: Iterable[Row],
    source: SourceInfo,
    report: Callable[[str], None] = lambda _: None,
    *,
    again: bool = False,
    wait: float = 30.0,
) -> ImportReport:
    """Import a source into the knowledge base at `kb_path`, which is made where there is none.

    rows: read only if needed: where the same source with the same file is there already, nothing happens.
    again: import it all the same, because what reads it has changed.
    wait: seconds to wait for another writer.
    Whatever goes wrong (also in reading `rows`), the knowledge base is as it was before. Raises StoreError.
    """
    started, new = time.perf_counter(), not kb_path.exists()
    with closing(connect_writer(kb_path, wait)) as connection, explained(kb_path):
        with _none_left(connection, kb_path, new), _transaction(connection):
            sql = "SELECT id, file, licence, sha256 FROM source WHERE name = ?"
            old, *known = connection.execute(sql, (source.name,)).fetchone() or (None,)
            if known == [source.file, source.licence, source.sha256] and not again:
                return ImportReport(source=source.name, unchanged=True, seconds=time.perf_counter() - started)
            connection.execute("DELETE FROM source WHERE name = ?", (source.name,))
            importing = _Importing(connection, source, report)
            for row in rows:
                importing.add(row)
            importing.finish()
            if old is not None:
                _sweep(connection, old)
            _new_fingerprint(connection, "import", source.model_dump_json(), importing.digest.hexdigest())
        _shrink_log(connection)
    return importing.result(seconds=time.perf_counter() - started, replaced=old is not None)


def remove_source(kb_path: Path, name: str, *, wait: float = 30.0) -> None:
    """Remove what this source says, and entities that no other source names.

    wait: seconds to wait for another writer. Raises MissingError if there is no file, StoreError if no such source.
    """
    if not kb_path.is_file():
        raise MissingError(f"找不到知识库 {kb_path}。请检查路径。")
    with closing(connect_writer(kb_path, wait)) as connection, explained(kb_path):
        with _transaction(connection):
            sources = dict(connection.execute("SELECT name, id FROM source ORDER BY id"))
            if name not in sources:
                there = "、".join(sources) or "（没有）"
                raise StoreError(f"知识库 {kb_path} 里没有来源 {name!r}。已有的来源：{there}。")
            connection.execute("DELETE FROM source WHERE name = ?", (name,))
            _sweep(connection, sources[name])
            _new_fingerprint(connection, "remove", name)
        _shrink_log(connection)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _none_left(connection: sqlite3.Connection, path: Path, new: bool) -> Generator[None]:
    """A new knowledge base goes again where its first import fails, unless somebody else has it open meanwhile."""
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            if new and connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",):
                path.unlink()
        raise


class _Importing:
    """One import under way: rows in, batches out."""

    def __init__(self, connection: sqlite3.Connection, source: SourceInfo, report: Callable[[str], None]) -> None:
        self._connection, self._info, self._report = connection, source, report
        sql = "INSERT INTO source (name, file, licence, sha256) VALUES (?, ?, ?, ?)"
        self._source = connection.execute(sql, (source.name, source.file, source.licence, source.sha256)).lastrowid
        self._terms = Terms(connection)
        self._attributes = Numbers(connection, "attribute", "name")
        self._qualifiers = Numbers(connection, "qualifier", "text")
        self._names: list[tuple[object, ...]] = []
        self._aliases: list[tuple[object, ...]] = []
        self._facts: list[tuple[object, ...]] = []
        self._passages: list[tuple[object, ...]] = []
        self._done: Counter[str] = Counter()
        self._seen = 0
        self._skipped: Counter[str] = Counter()
        self._examples: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.digest = hashlib.sha256()
        for attribute in ATTRIBUTES:  # numbered in the schema's order, which is the order facts are shown in
            self._attributes.of(attribute)

    def add(self, row: Row) -> None:
        """Take one row."""
        if isinstance(row, EntityRow):
            self._add_entity(row)
        elif isinstance(row, PassageRow):
            self._add_passage(row)
        else:
            self._skip(row.reason, row.value)
        if len(self._facts) + len(self._names) + len(self._passages) >= BATCH:
            self._flush()

    def _add_entity(self, row: EntityRow) -> None:
        name = row.name.strip()
        if not self._is_sound(name):
            return
        term = self._terms.of(name)
        entity = self._entity(term, row.kind)
        self._names.append((term, entity, self._source, ""))
        said = [name, row.kind, str(row.row)]
        for alias in row.aliases:
            text = alias.text.strip()
            if self._is_sound(text):
                self._aliases.append((self._terms.of(text), entity, self._source, alias.type))
                said += (text, alias.type)
        for place, fact in enumerate(row.facts):
            value, qualifier = fact.value.strip(), (fact.qualifier or "").strip()
            if not can_have(row.kind, fact.attribute):
                self._skip(f"{KINDS[row.kind]}没有的属性", fact.attribute)
            elif self._is_sound(value) and (not qualifier or self._is_sound(qualifier)):
                attribute = self._attributes.of(fact.attribute)
                condition = self._qualifiers.of(qualifier) if qualifier else 0
                number = self._terms.of(value)
                self._facts.append((entity, attribute, self._source, condition, number, row.row, place))
                said += (fact.attribute, value, qualifier)
        self.digest.update("\x1f".join(said).encode())

    def _entity(self, term: int, kind: str) -> int:
        found = self._connection.execute("SELECT id FROM entity WHERE term = ? AND kind = ?", (term, kind)).fetchone()
        if found:
            return found[0]
        new = self._connection.execute("INSERT INTO entity (term, kind) VALUES (?, ?)", (term, kind)).lastrowid
        assert new is not None
        return new

    def _add_passage(self, row: PassageRow) -> None:
        keywords = "\n".join(row.keywords)
        texts = (row.title.strip(), row.text.strip(), keywords, row.journal, row.locator, row.identifier)
        if not self._is_sound(row.title + row.text) or not self._is_sound("\n".join(texts)):
            return
        title, text, keywords, journal, locator, identifier = texts
        self._passages.append((self._source, row.row, title, text, keywords, journal, row.year, locator, identifier))
        self.digest.update("\x1f".join((*texts, str(row.year), str(row.row))).encode())

    def _is_sound(self, text: str) -> bool:
        """Whether a text can be stored; one that cannot is counted as skipped."""
        if not text.strip():
            self._skip("空的名称或值", text)
            return False
        if not text.isprintable():  # rare, so the dear test is made rarely
            try:
                text.encode()
            except UnicodeEncodeError:
                self._skip("不是合法的 Unicode 文本", ascii(text))
                return False
        return True

    def _skip(self, reason: str, value: str) -> None:
        self._skipped[reason] += 1
        if len(self._examples[reason]) < EXAMPLES:
            self._examples[reason][value] = None

    def _flush(self) -> None:
        insert = self._connection.executemany
        self._terms.flush()
        name = "INSERT OR IGNORE INTO name (term, entity, source, type) VALUES (?, ?, ?, ?)"
        self._done["entities"] += insert(name, self._names).rowcount
        self._done["aliases"] += insert(name, self._aliases).rowcount
        fact = (
            "INSERT OR IGNORE INTO fact (entity, attribute, source, qualifier, value, row, place) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        new = insert(fact, self._facts).rowcount
        self._done["facts"] += new
        self._done["duplicates"] += len(self._facts) - new
        self._flush_passages()
        before, self._seen = self._seen, self._seen + len(self._facts)
        if before // REPORT_EVERY < self._seen // REPORT_EVERY:
            self._report(f"{self._info.name}：已写入 {self._seen:,} 条事实")
        for batch in (self._names, self._aliases, self._facts):
            batch.clear()

    def _flush_passages(self) -> None:
        (last,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM passage").fetchone()
        self._connection.executemany(
            "INSERT INTO passage (source, row, title, text, keywords, journal, year, locator, identifier) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._passages,
        )
        add_to_index(self._connection, "passage", "id > ?", last)
        self._done["passages"] += len(self._passages)
        self._passages.clear()

    def finish(self) -> None:
        """Write what is left, and beside the source how much it brought."""
        self._flush()
        self._connection.execute(
            "UPDATE source SET entities = ?, aliases = ?, facts = ?, passages = ? WHERE id = ?",
            (*(self._done[what] for what in ("entities", "aliases", "facts", "passages")), self._source),
        )

    def result(self, *, seconds: float, replaced: bool) -> ImportReport:
        """What was done."""
        return ImportReport(
            source=self._info.name,
            entities=self._done["entities"],
            aliases=self._done["aliases"],
            facts=self._done["facts"],
            passages=self._done["passages"],
            duplicates=self._done["duplicates"],
            skipped=dict(self._skipped),
            examples={reason: tuple(values) for reason, values in self._examples.items()},
            seconds=seconds,
            replaced=replaced,
        )


def _sweep(connection: sqlite3.Connection, source: int) -> None:
    """Delete what this source said, and the entities and terms that nothing else needs."""
    connection.execute("CREATE TEMP TABLE swept_term (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TEMP TABLE swept_entity (id INTEGER PRIMARY KEY)")
    for sql in (
        "INSERT OR IGNORE INTO swept_term SELECT value FROM fact WHERE source = ?",
        "INSERT OR IGNORE INTO swept_term SELECT term FROM name WHERE source = ?",
        "INSERT OR IGNORE INTO swept_entity SELECT entity FROM name WHERE source = ?",
        "DELETE FROM fact WHERE source = ?",
        "DELETE FROM name WHERE source = ?",
    ):
        connection.execute(sql, (source,))
    connection.execute("DELETE FROM swept_entity WHERE EXISTS (SELECT 1 FROM name WHERE entity = swept_entity.id)")
    connection.execute("DELETE FROM entity WHERE id IN (SELECT id FROM swept_entity)")
    connection.execute(
        "DELETE FROM swept_term WHERE EXISTS (SELECT 1 FROM name WHERE term = swept_term.id) "
        "OR EXISTS (SELECT 1 FROM fact WHERE value = swept_term.id)"
    )
    remove_from_index(connection, "term", "id IN (SELECT id FROM swept_term)")
    connection.execute("DELETE FROM term WHERE id IN (SELECT id FROM swept_term)")
    remove_from_index(connection, "passage", "source = ?", source)
    connection.execute("DELETE FROM passage WHERE source = ?", (source,))
    connection.execute("DROP TABLE swept_term")
    connection.execute("DROP TABLE swept_entity")


def _new_fingerprint(connection: sqlite3.Connection, *what: str) -> None:
    (old,) = connection.execute("SELECT fingerprint FROM version").fetchone()
    connection.execute("UPDATE version SET fingerprint = ?", (sha256_text("\n".join((old, *what))),))


def _shrink_log(connection: sqlite3.Connection) -> None:
    """Move the write-ahead log into the file, so that the knowledge base is one file again.

    Nothing is lost where that cannot be done now (a reader is at work, the disk is full): the log is part of the
    knowledge base, and the next writer tries again.
    """
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA busy_timeout = 1000")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

"""The tables of a knowledge base, as numbered migrations: number n brings a file from `user_version` n-1 to n.

Texts are kept once, in `term`, and everything else refers to them by number: a name and a value that are the same
text are the same term, which is how a fact's value leads to the entity it names. A fact is one value; facts are
clustered by entity and attribute, so that one look-up reads neighbouring bytes.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x42454E43  # "BENC", in the header of the file: tells our files from other programs' databases

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # One row: a fingerprint of everything imported and removed so far, in order.
        "CREATE TABLE version (fingerprint TEXT NOT NULL)",
        "INSERT INTO version VALUES ('')",
        # Ids are never used again, so that a reader may keep what it knows of a source.
        """CREATE TABLE source (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
            file TEXT NOT NULL, licence TEXT NOT NULL, sha256 TEXT NOT NULL,
            entities INTEGER NOT NULL DEFAULT 0, aliases INTEGER NOT NULL DEFAULT 0,
            facts INTEGER NOT NULL DEFAULT 0, passages INTEGER NOT NULL DEFAULT 0)""",
        "CREATE TABLE attribute (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        "CREATE TABLE qualifier (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "CREATE TABLE term (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "CREATE TABLE entity (id INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind TEXT NOT NULL, UNIQUE (term, kind))",
        # `type` is a schema.AliasType, or empty for the entity's own name as this source has it.
        """CREATE TABLE name (
            term INTEGER NOT NULL, entity INTEGER NOT NULL, source INTEGER NOT NULL, type TEXT NOT NULL,
            PRIMARY KEY (term, entity, source)) WITHOUT ROWID""",
        "CREATE INDEX name_entity ON name (entity)",
        # `qualifier` 0: holds always. `value` is a term. `place` orders the values of one row.
        """CREATE TABLE fact (
            entity INTEGER NOT NULL, attribute INTEGER NOT NULL, source INTEGER NOT NULL,
            qualifier INTEGER NOT NULL, value INTEGER NOT NULL, row INTEGER NOT NULL, place INTEGER NOT NULL,
            PRIMARY KEY (entity, attribute, source, qualifier, value)) WITHOUT ROWID""",
        "CREATE INDEX fact_value ON fact (value, attribute)",
        # `keywords`: one a line.
        """CREATE TABLE passage (
            id INTEGER PRIMARY KEY, source INTEGER NOT NULL, row INTEGER NOT NULL,
            title TEXT NOT NULL, text TEXT NOT NULL, keywords TEXT NOT NULL,
            journal TEXT NOT NULL, year INTEGER, locator TEXT NOT NULL, identifier TEXT NOT NULL)""",
        # The search index: which texts hold a gram, and no more (no positions, contents or sizes). The tokenizer
        # `ascii` splits at blanks only, since grams hold nothing but letters and digits.
        *(
            f"CREATE VIRTUAL TABLE {corpus}_grams USING fts5 "
            "(grams, content='', detail=none, columnsize=0, tokenize='ascii')"
            for corpus in ("term", "passage")
        ),
        # Terms are indexed by the million; a larger buffer makes fewer segments to merge.
        "INSERT INTO term_grams (term_grams, rank) VALUES ('hashsize', 33554432)",
    ),
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database up to the newest version, all steps or none; nothing is done where it is there already.

    The connection must be in autocommit mode. A second process that wants the same waits for the first.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

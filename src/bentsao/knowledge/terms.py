"""Texts as numbers while importing: each text is stored once, everything else refers to it by number."""

from __future__ import annotations

import sqlite3

from bentsao.knowledge.search import add_to_index

KNOWN_TERMS = 1_000_000  # texts whose numbers are kept in memory; beyond that they are looked up again


class Numbers:
    """The numbers of a few texts that come again and again; a new text gets the next."""

    def __init__(self, connection: sqlite3.Connection, table: str, column: str) -> None:
        self._connection, self._insert = connection, f"INSERT INTO {table} ({column}) VALUES (?)"
        self._known: dict[str, int] = dict(connection.execute(f"SELECT {column}, id FROM {table}"))

    def of(self, text: str) -> int:
        """The number of a text."""
        number = self._known.get(text)
        if number is None:
            number = self._connection.execute(self._insert, (text,)).lastrowid
            assert number is not None
            self._known[text] = number
        return number


class Terms:
    """The numbers of millions of texts. New ones are kept back until `flush`, which also indexes them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        (self._flushed,) = connection.execute("SELECT coalesce(max(id), 0) FROM term").fetchone()
        self._last = self._flushed
        self._known: dict[str, int] = {}
        self._forgotten = self._flushed > 0  # whether the table has texts that `_known` has not
        self._new: list[tuple[int, str]] = []

    def of(self, text: str) -> int:
        """The number of a text."""
        number = self._known.get(text)
        if number is None:
            number = self._known[text] = self._stored(text) or self._add(text)
        return number

    def _stored(self, text: str) -> int | None:
        if not self._forgotten:
            return None
        found = self._connection.execute("SELECT id FROM term WHERE text = ?", (text,)).fetchone()
        return found[0] if found else None

    def _add(self, text: str) -> int:
        self._last += 1
        self._new.append((self._last, text))
        return self._last

    def flush(self) -> None:
        """Write the new texts and index them."""
        self._connection.executemany("INSERT INTO term (id, text) VALUES (?, ?)", self._new)
        add_to_index(self._connection, "term", "id > ?", self._flushed)
        self._new.clear()
        self._flushed = self._last
        if len(self._known) > KNOWN_TERMS:
            self._known.clear()
            self._forgotten = True

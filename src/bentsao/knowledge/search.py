"""The search index over character bigrams: putting texts in, taking them out, and finding those nearest to a query.

Common grams (急性, 治疗) are in a large part of all texts and say little; asking the rarest first finds the few texts
worth scoring.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Literal

from bentsao.knowledge.grams import folded, grams, indexed_grams

Corpus = Literal["term", "passage"]

CANDIDATES = 500  # texts that are scored, at the most; a gram that so many texts hold is common
LONGEST_NAME = 12  # characters of a term that is looked for inside a longer query
MIN_COVERAGE = 0.2  # a text must hold this share of what the query asks for, weighted by rarity

TEXT_OF: dict[Corpus, str] = {
    "term": "text",
    "passage": "title || char(10) || keywords || char(10) || text",
}


def add_to_index(connection: sqlite3.Connection, corpus: Corpus, which: str, *parameters: object) -> None:
    """Index the rows of the corpus's table that meet the SQL condition `which`."""
    connection.executemany(
        f"INSERT INTO {corpus}_grams (rowid, grams) VALUES (?, ?)", _entries(connection, corpus, which, parameters)
    )


def remove_from_index(connection: sqlite3.Connection, corpus: Corpus, which: str, *parameters: object) -> None:
    """Take rows out of the index. They must still be in the table: the index keeps no texts of its own."""
    connection.executemany(
        f"INSERT INTO {corpus}_grams ({corpus}_grams, rowid, grams) VALUES ('delete', ?, ?)",
        _entries(connection, corpus, which, parameters),
    )


def _entries(
    connection: sqlite3.Connection, corpus: Corpus, which: str, parameters: tuple[object, ...]
) -> Iterator[tuple[int, str]]:
    rows = connection.execute(f"SELECT id, {TEXT_OF[corpus]} FROM {corpus} WHERE {which}", parameters)
    return ((id_, " ".join(found)) for id_, text in rows if (found := indexed_grams(text)))


def nearest(connection: sqlite3.Connection, corpus: Corpus, query: str, limit: int) -> list[tuple[int, float]]:
    """(id, score) of the texts nearest to the query, best first, at most `limit`; of equal ones the shorter first.

    A score is between 0 and 1; 1 is all of the query (passages), and nothing else (terms).
    """
    plain = folded(query)
    if not plain or limit < 1:
        return []
    width = min(2, len(plain))
    held = {gram: _texts_with(connection, corpus, gram) for gram in grams(plain, width)}
    (texts,) = connection.execute(f"SELECT coalesce(max(id), 0) FROM {corpus}").fetchone()
    # A gram that no text holds weighs as much as the rarest: what is asked for is not there.
    weights = {gram: math.log1p(texts / max(count, 1)) for gram, count in held.items()}
    found: list[tuple[float, int, int]] = []
    for candidate in _candidates(connection, corpus, query, held):
        (text,) = connection.execute(f"SELECT {TEXT_OF[corpus]} FROM {corpus} WHERE id = ?", (candidate,)).fetchone()
        score = _score(grams(folded(text), width), weights, balanced=corpus == "term")
        if score > 0:
            found.append((-score, len(text), candidate))
    return [(candidate, -score) for score, _, candidate in sorted(found)[:limit]]


def _match(gram: str) -> str:
    """The gram in FTS5's query language; a single character stands for all grams that begin with it."""
    return f'"{gram}"' if len(gram) > 1 else f'"{gram}" *'


def _texts_with(connection: sqlite3.Connection, corpus: Corpus, gram: str) -> int:
    """How many texts hold the gram; counted up to CANDIDATES only."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {corpus}_grams WHERE {corpus}_grams MATCH ? LIMIT {CANDIDATES})"
    return connection.execute(sql, (_match(gram),)).fetchone()[0]


def _candidates(connection: sqlite3.Connection, corpus: Corpus, query: str, held: Mapping[str, int]) -> list[int]:
    """Ids worth scoring: terms in the query, texts with every known gram, then those with the rarest, the next …"""
    found: dict[int, None] = {}

    def add(sql: str, parameter: str) -> None:
        found.update(dict.fromkeys(row[0] for row in connection.execute(sql, (parameter,))))

    if corpus == "term":
        for start in range(len(query)):
            for end in range(start + 2, min(start + LONGEST_NAME, len(query)) + 1):
                add("SELECT id FROM term WHERE text = ?", query[start:end])
        add("SELECT id FROM term WHERE text = ?", query)
    rarest = sorted((gram for gram, count in held.items() if count), key=lambda gram: held[gram])
    for match in filter(None, [" AND ".join(map(_match, rarest)), *map(_match, rarest)]):
        add(f"SELECT rowid FROM {corpus}_grams WHERE {corpus}_grams MATCH ? LIMIT {CANDIDATES}", match)
        if len(found) >= CANDIDATES:
            break
    return list(found)


def _score(text: set[str], weights: Mapping[str, float], *, balanced: bool) -> float:
    """How much of the query a text holds, by rarity; balanced: with how much of the text the query holds.

    0 where that is too little, except for a text that stands in the query whole (a disease's name in a question).
    """
    shared = text & weights.keys()
    if not shared:
        return 0.0
    # fsum does not depend on the order of a set, so all of the query is exactly 1.
    coverage = math.fsum(weights[gram] for gram in shared) / math.fsum(weights.values())
    if coverage < MIN_COVERAGE and not (balanced and shared == text):
        return 0.0
    return math.sqrt(coverage * len(shared) / len(text)) if balanced else coverage

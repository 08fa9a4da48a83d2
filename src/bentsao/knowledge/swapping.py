"""A copy of a knowledge base in which some values are another's: whether answers follow the base can be seen by it."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_text, whole_file
from bentsao.core.records import Record
from bentsao.knowledge.database import connect_reader, explained
from bentsao.knowledge.schema import ATTRIBUTES, Kind
from bentsao.knowledge.store import KnowledgeBase

_LONGEST = 12


class Swap(Record):
    """One value that was exchanged: what `entity` has under `attribute` was `old` and is `new`."""

    entity: str
    kind: Kind
    attribute: str
    old: str
    new: str


def swapped_copy(kb: KnowledgeBase, out: Path, count: int, *, seed: int = 0) -> tuple[Swap, ...]:
    """Write to `out` a copy of the base with `count` values exchanged, each of another (entity, attribute).

    The new value is one that another entity of the kind has under that attribute, and that neither contains nor is
    contained in what the entity has or is called. Short values of attributes that name things only. The same base,
    count and seed make the same copy. Raises ConfigError where there are not so many such values.
    """
    rng = random.Random(seed)
    with (
        whole_file(out) as temporary,
        explained(out),
        closing(connect_reader(kb.path)) as source,
        closing(sqlite3.connect(temporary)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        swaps = tuple(_swap(copy, count, rng))
        (old,) = copy.execute("SELECT fingerprint FROM version").fetchone()
        told = "\n".join(swap.model_dump_json() for swap in swaps)
        copy.execute("UPDATE version SET fingerprint = ?", (sha256_text(f"{old}\nswap\n{told}"),))
        copy.commit()
    return swaps


def _swap(connection: sqlite3.Connection, count: int, rng: random.Random) -> list[Swap]:
    naming = [name for name, known in ATTRIBUTES.items() if known.values is not None]
    rows = connection.execute(
        "SELECT f.entity, e.kind, s.text, a.id, a.name, v.id, v.text FROM fact f "
        "JOIN entity e ON e.id = f.entity JOIN term s ON s.id = e.term JOIN attribute a ON a.id = f.attribute "
        f"JOIN term v ON v.id = f.value WHERE f.qualifier = 0 AND a.name IN ({', '.join('?' * len(naming))}) "
        "ORDER BY f.entity, a.id, f.source, f.row, f.place",
        naming,
    ).fetchall()
    pools: dict[tuple[str, str], list[tuple[int, str]]] = {}
    held: dict[tuple[int, int], list[tuple[int, str]]] = {}
    about: dict[tuple[int, int], tuple[Kind, str, str]] = {}
    for entity, kind, name, attribute, called, term, value in rows:
        pools.setdefault((kind, called), []).append((term, value))
        held.setdefault((entity, attribute), []).append((term, value))
        about[entity, attribute] = (kind, name, called)
    swaps: list[Swap] = []
    for entity, attribute in rng.sample(sorted(held), len(held)):
        if len(swaps) == count:
            return swaps
        kind, name, called = about[entity, attribute]
        own = [name, *(value for _, value in held[entity, attribute])]
        short = [(term, value) for term, value in held[entity, attribute] if 2 <= len(value) <= _LONGEST]
        # What is a part of another value, or of the name (内科 in 肾内科), would be said all the same.
        old = next((one for one in short if sum(one[1] in value for value in set(own)) == 1), None)
        new = _other(own, pools[kind, called], rng)
        if old is not None and new is not None:
            connection.execute(
                "UPDATE fact SET value = ? WHERE entity = ? AND attribute = ? AND value = ?",
                (new[0], entity, attribute, old[0]),
            )
            swaps.append(Swap(entity=name, kind=kind, attribute=called, old=old[1], new=new[1]))
    if len(swaps) < count:
        raise ConfigError(f"知识库里只有 {len(swaps)} 个可以对换的值，不够 {count} 个。请减小个数。")
    return swaps


def _other(own: list[str], pool: list[tuple[int, str]], rng: random.Random) -> tuple[int, str] | None:
    for term, value in rng.sample(pool, min(len(pool), 20)):
        if 2 <= len(value) <= _LONGEST and not any(value in mine or mine in value for mine in own):
            return term, value
    return None

"""How alike two texts are, and which of a million texts is like this one.

Texts are compared by the Jaccard similarity of their character trigrams (letters and digits only, in one width and
case). Candidates are found by MinHash signatures (datasketch) cut into bands; each candidate is then compared exactly,
so a reported likeness is never an estimate. Everything is deterministic. The index lies in a temporary SQLite file,
so memory does not grow with the texts.
"""

from __future__ import annotations

import math
import sqlite3
import weakref
import zlib
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

from bentsao.knowledge.grams import folded

WIDTH = 3
"""Characters in a shingle: with 2, the words of a pattern make unlike questions alike; with 4, a name hides a copy."""

PERMUTATIONS = 128
"""Values in a signature at most."""

MISSED = 0.02
"""Probability with which a pair exactly at an index's threshold is no candidate."""

CANDIDATES = 20
"""So many candidates are compared, those with the most bands in common first: copies have several, chance has one."""

_CACHE_KIB = 32_000


def shingles(text: str) -> frozenset[str]:
    """The runs of WIDTH letters or digits; a shorter text is one shingle, an empty one has none."""
    plain = folded(text)
    return frozenset(plain[at : at + WIDTH] for at in range(max(1, len(plain) - WIDTH + 1))) if plain else frozenset()


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared shingles over all shingles, 0 to 1; 0 where both are empty."""
    shared = len(one & other)
    total = len(one) + len(other) - shared
    return shared / total if total else 0.0


def signature(of: Iterable[str], size: int = PERMUTATIONS) -> NDArray[np.uint32]:
    """The MinHash signature of a set of shingles: the share of equal values estimates the Jaccard similarity.

    size: how many values.
    """
    sketch = MinHash(num_perm=size, hashfunc=zlib.crc32, permutations=_permutations(size), scheme="affine32")
    sketch.update_batch([shingle.encode("utf-8", "surrogatepass") for shingle in of])
    return sketch.hashvalues


@cache
def _permutations(size: int) -> NDArray[np.uint32]:
    """Made once: making them costs more than a signature."""
    return np.asarray(MinHash(num_perm=size, seed=1, scheme="affine32").permutations, dtype=np.uint32)


class Near(NamedTuple):
    """A text that is like the one looked up: the name it was added under, and how alike they are."""

    name: str
    similarity: float


def _cut(threshold: float) -> tuple[int, int]:
    """(bands, values in a band) of a signature for a threshold: two texts are candidates where one whole band agrees.

    Bands are as wide as the signature allows, so that chance agrees seldom, and so many that no more than MISSED of
    the pairs at the threshold agree in none. Raises ValueError where the signature is too short for that.
    """
    agrees = min(max(threshold, 0.001), 0.999)
    for width in range(16, 5, -1):
        bands = math.ceil(math.log(MISSED) / math.log(1 - agrees**width))
        if bands * width <= PERMUTATIONS:
            return bands, width
    raise ValueError(f"threshold {threshold} needs more than {PERMUTATIONS} permutations")


class _Sketch(NamedTuple):
    text: str
    topic: str
    plain: str
    shingles: frozenset[str]
    bands: list[int]


class NearIndex:
    """Finds texts whose similarity is at least `threshold`.

    Texts are only compared within their topic, which is any string: two vignettes may differ in nothing but the
    disease. Raises ValueError for a threshold that the signature is too short for.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._bands, self._width = _cut(threshold)
        self._db = sqlite3.connect("", isolation_level=None)  # "": a private file that goes when it is closed
        weakref.finalize(self, self._db.close)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute("CREATE TABLE texts (number INTEGER PRIMARY KEY, name TEXT, plain TEXT)")
        self._db.execute("CREATE TABLE bands (band INTEGER, number INTEGER, PRIMARY KEY (band, number)) WITHOUT ROWID")
        self._size = 0
        self._last: _Sketch | None = None

    def __len__(self) -> int:
        return self._size

    def nearest(self, text: str, topic: str = "") -> Near | None:
        """The most alike of the texts added so far, the earliest of several; None if none is alike enough."""
        sought = self._sketch(text, topic)
        if not sought.shingles:
            return None
        marks = ",".join("?" * len(sought.bands))
        rows = self._db.execute(
            f"SELECT name, plain FROM (SELECT number, count(*) AS shared FROM bands WHERE band IN ({marks}) "
            f"GROUP BY number ORDER BY shared DESC, number LIMIT {CANDIDATES}) "
            "JOIN texts USING (number) ORDER BY number",
            sought.bands,
        )
        best: Near | None = None
        for name, other in rows:
            likeness = 1.0 if other == sought.plain else jaccard(sought.shingles, shingles(other))
            if likeness >= self.threshold and (best is None or likeness > best.similarity):
                best = Near(name, likeness)
        return best

    def add(self, name: str, text: str, topic: str = "") -> None:
        """Remember a text under a name. An empty one is like nothing and is left out."""
        added = self._sketch(text, topic)
        if not added.shingles:
            return
        self._size += 1
        self._db.execute("INSERT INTO texts VALUES (?, ?, ?)", (self._size, name, added.plain))
        self._db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", [(band, self._size) for band in added.bands])

    def cut(self, size: int) -> None:
        """Forget all but the first `size` texts."""
        self._size = min(self._size, size)
        for table in ("texts", "bands"):
            self._db.execute(f"DELETE FROM {table} WHERE number > ?", (size,))

    def _sketch(self, text: str, topic: str) -> _Sketch:
        """What a text is looked up by; a text is usually looked up and then added, so the last one is kept."""
        if self._last is None or (self._last.text, self._last.topic) != (text, topic):
            plain = folded(text)
            of = shingles(plain)
            self._last = _Sketch(text, topic, plain, of, self._banded(of, topic) if of else [])
        return self._last

    def _banded(self, of: frozenset[str], topic: str) -> list[int]:
        """The bands of a signature as 64-bit keys; two texts of a topic that share one are candidates."""
        values = signature(of, self._bands * self._width)
        about = topic.encode("utf-8", "surrogatepass")
        keys: list[int] = []
        for number in range(self._bands):
            band = values[number * self._width : (number + 1) * self._width].tobytes()
            key = blake2b(band + about, digest_size=8, salt=number.to_bytes(2, "little")).digest()
            keys.append(int.from_bytes(key, "little", signed=True))
        return keys

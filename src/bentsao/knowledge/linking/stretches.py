"""Hashes of every stretch of a text at once, and an index from hashes to names.

A text of n characters has about n * longest stretches; looking each up by slicing strings costs more the more names
there are. Here one pass of array arithmetic hashes them all (a polynomial in the characters' codes, modulo 2**64, so
that a stretch's hash is a difference of two prefix sums), also with any one character left out, which is what SymSpell
compares. An index is three flat arrays, so that it opens by memory map and a million names cost megabytes.
What hashes find is compared as strings afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

MOST_ALIKE = 50
"""Hits that one hash gives at most: so many names are not told apart anyway."""

_QUESTION = 200
"""Characters of a question; its stretches are kept for the next one of that length."""

_BASE = 0x9E3779B97F4A7C15
_BASE_INVERSE = pow(_BASE, -1, 1 << 64)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def codes_of(text: str) -> Codes:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)


class Stretches:
    """All stretches of a text of up to `longest` characters: stretch s is text[starts[s]:ends[s]]."""

    def __init__(self, codes: Codes, longest: int) -> None:
        self.starts, self.ends = _places(len(codes), longest)
        self._prefix = np.zeros(len(codes) + 1, dtype=np.uint64)
        np.cumsum(_scattered(codes) * _powers(len(codes))[0], out=self._prefix[1:])
        self._inverse = _powers(len(codes) + 1)[1]

    def hashes(self) -> Hashes:
        """The hash of each stretch."""
        return _mixed((self._prefix[self.ends] - self._prefix[self.starts]) * self._inverse[self.starts])

    def shortened(self, chosen: Places) -> tuple[Places, Hashes]:
        """Each of the chosen stretches with one character left out: (the stretch, the hash), once a character."""
        starts, ends = self.starts[chosen], self.ends[chosen]
        lengths = ends - starts
        which = np.repeat(np.arange(len(chosen)), lengths)
        first, last = starts[which], ends[which]
        out = first + np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        before = (self._prefix[out] - self._prefix[first]) * self._inverse[first]
        after = (self._prefix[last] - self._prefix[out + 1]) * self._inverse[first + 1]
        return chosen[which], _mixed(before + after)


def hashes_of(codes: NDArray[np.uint64]) -> Hashes:
    """The hashes of texts of one length, one a row of codes."""
    return _mixed((_scattered(codes) * _powers(codes.shape[1])[0]).sum(axis=1, dtype=np.uint64))


def _scattered(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Codes spread over all 64 bits: neighbouring code points must not give neighbouring hashes."""
    spread = (codes + np.uint64(1)) * np.uint64(0x94D049BB133111EB)
    return spread ^ (spread >> np.uint64(31))


def _mixed(hashes: Hashes) -> Hashes:
    """The high bits, which choose the bucket, made to depend on all bits."""
    hashes = (hashes ^ (hashes >> np.uint64(32))) * _MIX
    return hashes ^ (hashes >> np.uint64(29))


def _places(length: int, longest: int) -> tuple[Places, Places]:
    # What is kept for each length is of its length times the longest: of papers it would fill the memory.
    return (_places_of_questions if length <= _QUESTION else _made_places)(length, longest)


def _made_places(length: int, longest: int) -> tuple[Places, Places]:
    counts = np.minimum(longest, length - np.arange(length))
    starts = np.repeat(np.arange(length), counts)
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    return starts, starts + np.arange(len(starts)) - firsts + 1


_places_of_questions = lru_cache(maxsize=256)(_made_places)


def _powers(length: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The powers of the base from 0, and of its inverse."""
    powers, inverses = _powers_up_to(length.bit_length())
    return powers[:length], inverses[:length]


@lru_cache(maxsize=64)
def _powers_up_to(bits: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    bases = np.full(1 << bits, _BASE, dtype=np.uint64)
    inverses = np.full(1 << bits, _BASE_INVERSE, dtype=np.uint64)
    bases[:1] = inverses[:1] = 1
    return np.cumprod(bases, dtype=np.uint64), np.cumprod(inverses, dtype=np.uint64)


@dataclass(frozen=True)
class HashIndex:
    """From hashes to numbers. `hashes` ascend, `numbers` go with them; `present` says of each beginning (the high bits)
    whether any hash has it, which spares most searches.
    """

    hashes: Hashes
    numbers: NDArray[np.uint32]
    present: NDArray[np.bool_]

    @staticmethod
    def build(hashes: Hashes, numbers: NDArray[np.uint32], name: str) -> dict[str, NDArray[Any]]:
        """The arrays of an index over hashes, which may repeat."""
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        bits = max(8, (len(hashes) * 4).bit_length())
        present = np.zeros(1 << bits, dtype=bool)
        present[hashes >> np.uint64(64 - bits)] = True
        return {f"{name}.hashes": hashes, f"{name}.numbers": numbers[order], f"{name}.present": present}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]], name: str) -> HashIndex:
        """The index in arrays that `build` made."""
        return HashIndex(*(arrays[f"{name}.{part}"] for part in ("hashes", "numbers", "present")))

    def find(self, wanted: Hashes) -> list[tuple[int, int]]:
        """(place in `wanted`, number) of every hit; no more than MOST_ALIKE for one hash."""
        shift = np.uint64(65 - len(self.present).bit_length())
        places = self.present[wanted >> shift].nonzero()[0]
        asked = wanted[places]
        first = self.hashes.searchsorted(asked).tolist()
        hits: list[tuple[int, int]] = []
        for place, value, begin in zip(places.tolist(), asked.tolist(), first, strict=True):
            for at in range(begin, min(begin + MOST_ALIKE, len(self.hashes))):
                if self.hashes[at] != value:
                    break
                hits.append((place, int(self.numbers[at])))
        return hits

"""All names of a knowledge base, ready to be looked up: as written, by sound, and with one character astray.

An index is a set of flat arrays: built in seconds for a million names, opened by memory map in milliseconds.
"""

from __future__ import annotations

import json
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentsao.core.files import whole_folder
from bentsao.knowledge.linking.sounds import sound_table, sounding_alike, sounds_of
from bentsao.knowledge.linking.stretches import Codes, HashIndex, codes_of, hashes_of
from bentsao.knowledge.linking.variants import variants
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import KINDS, Kind

Name = tuple[str, int, Kind, bool]
"""A name, the entity that has it, the entity's kind, and whether it is the entity's own name or an alias."""

OWN, ALIAS, VARIANT = range(3)
"""How a name calls an entity: its own name, an alias, or another way of writing one of these."""

SHORTEST_MISSPELT, LONGEST_MISSPELT = 3, 24
"""Names of these lengths are found with one character wrong, missing or too many."""

_FORMAT = 6  # raised with every change to what the arrays hold, or to how names are normalised or varied
_KINDS: tuple[Kind, ...] = tuple(KINDS)


@dataclass(frozen=True)
class Owner:
    """An entity that a name calls: its id, its own name, its kind, and how it is called (OWN, ALIAS, VARIANT)."""

    entity: int
    title: str
    kind: Kind
    how: int


class NameIndex:
    """The names of a knowledge base. Each name has a number; several entities may share one.

    exact, sounds, shortened: the numbers by the hashes of a name's characters, of its syllables, and of its characters
        with any one left out.
    longest: characters of the longest name.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self.exact = HashIndex.of(arrays, "exact")
        self.sounds = HashIndex.of(arrays, "sounds")
        self.shortened = HashIndex.of(arrays, "shortened")
        self.longest = int(arrays["longest"][0])

    @staticmethod
    def build(names: Iterable[Name]) -> NameIndex:
        """An index of all names. A name of nothing but signs and blanks is left out."""
        keys: dict[str, int] = {}
        places: dict[int, int] = {}
        titles: list[str] = []
        kinds: list[int] = []
        calls = array("q")  # by turns: the number of a name, and the place of an entity with how it is called
        for name, entity, kind, own in names:
            place = places.setdefault(entity, len(places))
            if place == len(titles):
                titles.append(name)
                kinds.append(_KINDS.index(kind))
            elif own:
                titles[place] = name
            key = normalise(name).text
            if not any(map(str.isalnum, key)):
                continue
            calls.extend((keys.setdefault(key, len(keys)), place * 4 + (OWN if own else ALIAS)))
            for other in variants(key, kind):
                calls.extend((keys.setdefault(other, len(keys)), place * 4 + VARIANT))
        table = sound_table()
        return NameIndex(
            {
                **_hashed(list(keys), table),
                **_owners(calls, len(keys)),
                **_packed(keys, "keys"),
                **_packed(titles, "titles"),
                "longest": np.array([max(map(len, keys), default=0)]),
                "entities": np.array(list(places), dtype=np.int64),
                "kinds": np.array(kinds, dtype=np.uint8),
                "sound_table": table,
            }
        )

    def save(self, folder: Path, version: str) -> None:
        """Write the index, the folder whole or not at all; `version` says what it was built of."""
        with whole_folder(folder) as temporary:
            for name, values in self._arrays.items():
                np.save(temporary / f"{name}.npy", values)
            about = {"format": _FORMAT, "version": version, "arrays": list(self._arrays)}
            (temporary / "index.json").write_text(json.dumps(about), encoding="utf-8")

    @staticmethod
    def open(folder: Path, version: str) -> NameIndex | None:
        """The index in the folder, by memory map; None if there is none or it is of another version or format."""
        try:
            about = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            if (about["format"], about["version"]) != (_FORMAT, version):
                return None
            loaded = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in about["arrays"]}
            return NameIndex({name: values.view(np.ndarray) for name, values in loaded.items()})
        except (OSError, ValueError, KeyError):
            return None

    def key(self, number: int) -> str:
        """The normalised name."""
        return self._string("keys", number)

    def owners(self, number: int) -> list[Owner]:
        """The entities that the name calls, those it calls most properly first."""
        first, last = self._arrays["first_owner"][number : number + 2].tolist()
        calls = self._arrays["owners"][first:last].tolist()
        entities, kinds = self._arrays["entities"], self._arrays["kinds"]
        return [
            Owner(int(entities[call >> 2]), self._string("titles", call >> 2), _KINDS[kinds[call >> 2]], call & 3)
            for call in calls
        ]

    def sounds_of(self, codes: Codes) -> Codes:
        """The syllables of code points, as the index by sound knows them."""
        return sounds_of(codes, self._arrays["sound_table"])

    def alike(self, one: str, other: str) -> float:
        """How alike two characters sound, from 0 to 1 (the same character)."""
        return sounding_alike(one, other, self._arrays["sound_table"])

    def has_pair(self, pair: str) -> bool:
        """Whether these two characters stand side by side in any name."""
        pairs, wanted = self._arrays["pairs"], np.uint64(ord(pair[0]) << 32 | ord(pair[1]))
        return bool(pairs[min(int(np.searchsorted(pairs, wanted)), len(pairs) - 1)] == wanted)

    def holding(self, text: str) -> Iterator[int]:
        """The numbers of the names that have this text in them."""
        starts = self._arrays["keys.starts"]
        for hit in re.finditer(re.escape(text.encode("utf-8", "surrogatepass")), self._arrays["keys"].data):
            number = int(np.searchsorted(starts, hit.start(), "right")) - 1
            if hit.end() <= starts[number + 1]:
                yield number

    def _string(self, what: str, number: int) -> str:
        start, end = self._arrays[f"{what}.starts"][number : number + 2].tolist()
        return self._arrays[what][start:end].tobytes().decode("utf-8", "surrogatepass")


def _packed(strings: Iterable[str], name: str) -> dict[str, NDArray[Any]]:
    """Many strings in two arrays: all their bytes, and where each begins (and the last ends)."""
    encoded = [string.encode("utf-8", "surrogatepass") for string in strings]
    starts = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(string) for string in encoded], out=starts[1:])
    return {name: np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{name}.starts": starts}


def _owners(calls: array[int], names: int) -> dict[str, NDArray[Any]]:
    """The owners of each name, best call first, an entity once; owners[first_owner[n]:first_owner[n + 1]] are n's."""
    table = np.frombuffer(calls, dtype=np.int64).reshape(-1, 2) if calls else np.zeros((0, 2), dtype=np.int64)
    number, place, how = table[:, 0], table[:, 1] >> 2, table[:, 1] & 3
    order = np.lexsort((how, place, number))
    number, place, how = number[order], place[order], how[order]
    best = np.ones(len(order), dtype=bool)
    best[1:] = (number[1:] != number[:-1]) | (place[1:] != place[:-1])
    number, place, how = number[best], place[best], how[best]
    order = np.lexsort((place, how, number))
    first = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=names))])
    return {"owners": (place * 4 + how)[order].astype(np.uint32), "first_owner": first.astype(np.uint32)}


def _hashed(keys: Sequence[str], table: NDArray[np.uint16]) -> dict[str, NDArray[Any]]:
    """The three indexes over all names and the pairs of characters in them, worked out a length of names at once."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        by_length[len(key)].append(number)
    found: dict[str, list[tuple[NDArray[np.uint64], NDArray[np.uint32]]]] = {"exact": [], "sounds": [], "shortened": []}
    pairs = [np.zeros(1, np.uint64)]
    for length, of_length in by_length.items():
        numbers = np.array(of_length, dtype=np.uint32)
        codes = codes_of("".join(keys[number] for number in of_length)).reshape(-1, length)
        found["exact"].append((hashes_of(codes), numbers))
        pairs.append(np.unique(codes[:, :-1] << np.uint64(32) | codes[:, 1:]))
        if 2 <= length <= LONGEST_MISSPELT:
            found["sounds"].append((hashes_of(sounds_of(codes, table)), numbers))
        if SHORTEST_MISSPELT <= length <= LONGEST_MISSPELT:
            for place in range(length):
                found["shortened"].append((hashes_of(np.delete(codes, place, axis=1)), numbers))
    arrays: dict[str, NDArray[Any]] = {"pairs": np.unique(np.concatenate(pairs))}
    for name, parts in found.items():
        hashes = np.concatenate([hashes for hashes, _ in parts] or [np.zeros(0, np.uint64)])
        arrays |= HashIndex.build(
            hashes, np.concatenate([numbers for _, numbers in parts] or [np.zeros(0, np.uint32)]), name
        )
    return arrays

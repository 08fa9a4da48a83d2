"""Names written with a slip: with characters that sound alike, or with one character wrong, missing, added or swapped.

Looked for only around what nothing else explains. The candidates come from the index (syllables, and SymSpell's
symmetric deletion); what each slip costs decides between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
import rjieba
from numpy.typing import NDArray

from bentsao.knowledge.linking.index import LONGEST_MISSPELT, SHORTEST_MISSPELT, NameIndex
from bentsao.knowledge.linking.mentions import Reading, cuts_word, names_something
from bentsao.knowledge.linking.stretches import Codes, Stretches, codes_of
from bentsao.knowledge.linking.words import CONTRASTS, GRAMMAR, LOOKALIKES, NEGATING, NO_NAMES, QUALIFYING, SYNONYMS

SURE, POSSIBLE = 0.72, 0.66
"""From these likenesses on a misspelt name is taken for meant, and is worth asking back."""

_UNSURE = 0.7
"""The most where a slip is less likely than another name: its first character is missing or another one."""

MARGIN = 0.04
"""Two names that differ less in likeness are not told apart: ask back."""

_SAME_SOUND, _LIKE_SOUND, _DOUBLED, _WEAK_SYLLABLE, _SWAPPED, _OTHER, _TELLING = 0.3, 0.4, 0.3, 0.4, 0.6, 1.0, 1.2
"""What a slip costs, in characters."""

_BESIDE = 0.08
"""What it costs that the character beside is unexplained too: the name may be a part of another one."""

_LONG_WORD = 6
_MOST_CANDIDATES = 200


@dataclass(frozen=True)
class Slip:
    """A stretch of the text taken for a name that is written otherwise. `homophone`: all characters sound alike."""

    start: int
    end: int
    number: int
    key: str
    likeness: float
    homophone: bool


def slips(reading: Reading, index: NameIndex) -> list[Slip]:
    """The names that may be meant by what is left over, likeliest first."""
    if not any(reading.open):
        return []
    codes = codes_of(reading.text)
    stretches = Stretches(codes, min(index.longest + 1, LONGEST_MISSPELT))
    chosen = _around_open(reading, stretches)
    if not len(chosen):
        return []
    found: list[Slip] = []
    candidates = dict.fromkeys(_candidates(codes, stretches, chosen, index))
    for place, number in islice(candidates, _MOST_CANDIDATES):
        start, end = int(stretches.starts[place]), int(stretches.ends[place])
        if slip := _Judge(reading, index, start, end, number).slip():
            found.append(slip)
    return sorted(found, key=lambda slip: (-slip.likeness, slip.start - slip.end, slip.start))


def _around_open(reading: Reading, stretches: Stretches) -> NDArray[np.int64]:
    """The stretches that hold something unexplained, and cut neither a mention, nor a word, nor a clause."""
    size = len(reading.text)
    opened = np.concatenate([[0], np.cumsum(reading.open)])
    breaks = np.concatenate([[0], np.cumsum([not character.isalnum() for character in reading.text])])
    inside = np.zeros(size + 1, dtype=bool)
    for start, end in [*reading.words, *(mention.span for mention in reading.mentions)]:
        inside[start + 1 : end] = True
    starts, ends = stretches.starts, stretches.ends
    return np.flatnonzero(
        (ends - starts > 1)
        & (opened[ends] > opened[starts])
        & (breaks[ends] == breaks[starts])
        & ~inside[starts]
        & ~inside[ends]
    )


def _candidates(
    codes: Codes, stretches: Stretches, chosen: NDArray[np.int64], index: NameIndex
) -> Iterator[tuple[int, int]]:
    """(stretch, number of a name) of all that sound alike or are one character apart."""
    sounding = Stretches(index.sounds_of(codes), min(index.longest + 1, LONGEST_MISSPELT))
    for place, number in index.sounds.find(sounding.hashes()[chosen]):
        yield int(chosen[place]), number
    longer = chosen[stretches.ends[chosen] - stretches.starts[chosen] >= SHORTEST_MISSPELT]
    for place, number in index.shortened.find(stretches.hashes()[longer]):
        yield int(longer[place]), number
    which, hashes = stretches.shortened(longer)
    for place, number in index.shortened.find(hashes):
        yield int(which[place]), number
    for place, number in index.exact.find(hashes):
        yield int(which[place]), number


class _Judge:
    """Judges whether text[start:end] is a slip for the name of this number."""

    def __init__(self, reading: Reading, index: NameIndex, start: int, end: int, number: int) -> None:
        self._reading, self._index = reading, index
        self._start, self._end, self._number = start, end, number
        self._written, self._key = reading.text[start:end], index.key(number)

    def slip(self) -> Slip | None:
        """The slip with its likeness; None where the difference means something else or is too great."""
        written, key = self._written, self._key
        if written == key or written in NO_NAMES or not names_something(key) or written[0] in QUALIFYING:
            return None
        if cuts_word(self._reading.text, self._start, self._end) or rjieba.has_word(written):
            return None
        if len(written) == len(key):
            alike = [self._alike(one, other) for one, other in zip(written, key, strict=True)]
            return self._homophone(alike) if min(alike) > 0 else self._one_wrong(alike)
        return self._one_missing() if len(written) < len(key) else self._one_added()

    def _alike(self, one: str, other: str) -> float:
        if one + other in SYNONYMS or (other in _looking_like().get(one, "") and not _contrasted(one, other)):
            return 0.9
        return self._index.alike(one, other)

    def _homophone(self, alike: Sequence[float]) -> Slip | None:
        wrong = [place for place, likeness in enumerate(alike) if likeness < 1]
        if len(wrong) == len(alike) or any(self._at_open_edge(place) for place in wrong):
            return None
        if len(alike) == 2 and (
            self._reading.mentions or min(alike) < 0.9 or not self._reading.open[self._start + wrong[0]]
        ):
            return None
        if len(alike) < 4 and (self._beside() or any(self._in_a_word(place) for place in wrong)):
            return None
        last = len(alike) - 1
        if self._extends_mention(wrong):
            return None
        if (self._understood(0) and 0 in wrong) or (self._understood(last) and last in wrong):
            rest = self._written[1:] if 0 in wrong else self._written[:-1]
            if rjieba.has_word(rest):
                return None
        return self._costing(
            sum(_SAME_SOUND if alike[place] > 0.85 else _LIKE_SOUND for place in wrong), homophone=True
        )

    def _one_wrong(self, alike: Sequence[float]) -> Slip | None:
        wrong = [place for place, likeness in enumerate(alike) if likeness < 1]
        written, key = self._written, self._key
        if len(wrong) == 2 and wrong[1] - wrong[0] == 1:
            a, b = wrong
            return self._costing(_SWAPPED) if (written[a], written[b]) == (key[b], key[a]) else None
        if len(wrong) != 1 or self._at_open_edge(wrong[0]) or not self._strange(wrong[0]):
            return None
        one, other = written[wrong[0]], key[wrong[0]]
        if one.isascii() or other.isascii() or _contrasted(one, other):
            return None
        if wrong[0] in {0, len(key) - 1} and self._understood(wrong[0]):
            return None
        return self._costing(_OTHER, at_most=1.0 if wrong[0] else _UNSURE)

    def _one_missing(self) -> Slip | None:
        at = _odd_one(self._key, self._written)
        if at is None or not self._may_slip(self._key[at]):
            return None
        missing, last = self._key[at], len(self._written)
        if at == last and (_telling(missing) or self._at_open_edge(at - 1) or self._understood(at - 1)):
            return None
        cost = _WEAK_SYLLABLE if missing in "性的样型之" else _TELLING if _telling(missing) else _OTHER
        return self._costing(cost, at_most=1.0 if at else _UNSURE)

    def _one_added(self) -> Slip | None:
        at = _odd_one(self._written, self._key)
        if at is None:
            return None
        added = self._written[at]
        if added == self._written[at - 1 : at or 1]:
            return self._costing(_DOUBLED)
        if at in {0, len(self._key)} or _telling(added) or not self._may_slip(added):
            return None
        if added not in self._key and not self._strange(at):
            return None
        return self._costing(_WEAK_SYLLABLE if added in "性的样型之" else _OTHER)

    def _may_slip(self, character: str) -> bool:
        """Whether a slip may leave out or add it: not what turns a name round, and letters only in long words."""
        return character not in NEGATING and not (character.isascii() and len(self._key) < _LONG_WORD)

    def _extends_mention(self, wrong: Sequence[int]) -> bool:
        """Whether all but a wrong character at one end is a name by itself."""
        spans = {mention.span for mention in self._reading.mentions}
        return (wrong == [0] and (self._start + 1, self._end) in spans) or (
            wrong == [len(self._key) - 1] and (self._start, self._end - 1) in spans
        )

    def _understood(self, place: int) -> bool:
        """Whether the character at `place` of the stretch is a word of grammar, and so no slip."""
        return not self._reading.open[self._start + place] and self._written[place] in GRAMMAR

    def _costing(self, cost: float, *, homophone: bool = False, at_most: float = 1.0) -> Slip | None:
        size = max(len(self._key), len(self._written))
        if self._key.endswith("综合征") and self._written.endswith("综合征"):
            size -= 2  # it says nothing of which one
        beside = self._beside()
        likeness = min(1 - cost / size - _BESIDE * beside, at_most if homophone or not beside else _UNSURE)
        if likeness < (_UNSURE if beside else POSSIBLE):
            return None
        return Slip(self._start, self._end, self._number, self._key, likeness, homophone)

    def _beside(self) -> int:
        """On how many sides the stretch has unexplained characters beside it."""
        text_open = self._reading.open
        return sum(0 <= place < len(text_open) and text_open[place] for place in (self._start - 1, self._end))

    def _at_open_edge(self, place: int) -> bool:
        """Whether the wrong character is the outermost and another unexplained one stands beside it."""
        text_open = self._reading.open
        if place == 0:
            return self._start > 0 and text_open[self._start - 1]
        return place == len(self._written) - 1 and self._end < len(text_open) and text_open[self._end]

    def _strange(self, place: int) -> bool:
        """Whether the character at `place` makes no sense there: it is in no known word, and forms no pair with its
        neighbours that any name has.
        """
        at = self._start + place
        reading = self._reading
        if any(begin <= at < stop for begin, stop in [*reading.words, *(m.span for m in reading.mentions)]):
            return False
        if not any(reading.open[other] for other in range(self._start, self._end) if other != at):
            return False
        pairs = [self._written[max(0, place - 1) : place + 1], self._written[place : place + 2]]
        return not any(len(pair) == 2 and (self._index.has_pair(pair) or rjieba.has_word(pair)) for pair in pairs)

    def _in_a_word(self, place: int) -> bool:
        """Whether the character belongs to an everyday word that reaches out of the stretch."""
        at = 0
        for word in rjieba.cut(self._reading.text, hmm=False):
            if at <= self._start + place < at + len(word):
                return at < self._start or at + len(word) > self._end
            at += len(word)
        return False


@cache
def _looking_like() -> dict[str, str]:
    """For each character those it is mistaken for."""
    found: dict[str, str] = {}
    for group in LOOKALIKES:
        for character in group:
            found[character] = found.get(character, "") + group.replace(character, "")
    return found


def _odd_one(longer: str, shorter: str) -> int | None:
    """The place in `longer` of the one character that `shorter` lacks; None where they differ otherwise."""
    at = next((at for at in range(len(shorter)) if longer[at] != shorter[at]), len(shorter))
    return at if longer[:at] + longer[at + 1 :] == shorter else None


def _contrasted(one: str, other: str) -> bool:
    """Whether one instead of the other means another illness or drug."""
    return any(one in group and other in group for group in CONTRASTS)


def _telling(character: str) -> bool:
    """Whether it tells one illness or drug from another."""
    return any(character in group for group in CONTRASTS)

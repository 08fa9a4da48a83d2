"""Finding known names in a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ahocorasick_rs import AhoCorasick, MatchKind

from bentsao.knowledge.normalise import normalise


class Mentions(Protocol):
    """A vocabulary: whatever finds the names it knows in a text."""

    def find(self, text: str) -> Iterable[tuple[int, int, str]]:
        """(start, end, name) for each name in a text that `normalise` wrote; `name` is the entity's own name."""
        ...


class KnownNames:
    """A vocabulary of names, found leftmost and longest first. Names of one character are left out."""

    def __init__(self, names: Iterable[str]) -> None:
        written = {normalise(name).text: name for name in names}
        self._names = [(key, name) for key, name in written.items() if len(key) > 1]
        self._automaton = AhoCorasick([key for key, _ in self._names], matchkind=MatchKind.LeftmostLongest)

    def find(self, text: str) -> Iterable[tuple[int, int, str]]:
        """The names in a normalised text, in order, none within another."""
        for number, start, end in self._automaton.find_matches_as_indexes(text):
            if stands_alone(text, start, end):
                yield start, end, self._names[number][1]


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no Latin letter or figure at the edge of a name goes on outside it: ct is not named by cta."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (_latin(before) and _latin(text[start])) and not (_latin(after) and _latin(text[end - 1]))


def _latin(character: str) -> bool:
    return character.isascii() and character.isalnum()

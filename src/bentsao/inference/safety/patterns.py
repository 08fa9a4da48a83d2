"""The language that the lists of signs are written in, made into regular expressions.

Patterns are parted by blanks. `[a|b|]` is any of these (the last: nothing), `{word}` any of a named group, `#` a
figure, `..` up to 6 characters within one clause, `...` up to 14 within one sentence, `$` the end of the text; `?` and
`*` after a character or a bracket mean what they mean in regular expressions. Everything else stands for itself, as
`knowledge.normalise` writes it (a question mark as ？).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

SENTENCE_ENDS = "。!?\n"
CLAUSE_ENDS = ",;:" + SENTENCE_ENDS
"""What parts clauses in a normalised text. A list (、) is one clause."""

_FIGURES = frozenset("0123456789")


class Piece(NamedTuple):
    """A part of a pattern: its regular expression, the characters it may begin with, whether it may be empty.

    needs: sets of characters, one of each of which every match has in it.
    """

    regex: str
    firsts: frozenset[str]
    empty: bool
    needs: tuple[frozenset[str], ...] = ()


Words = Mapping[str, Piece]
"""Named groups."""


def named_groups(sources: Mapping[str, str]) -> Words:
    """The groups that patterns may name, from their lists. A group may name those before it."""
    groups: dict[str, Piece] = {}
    for name, source in sources.items():
        groups[name] = _any([_read(each, groups) for each in source.split()])
    return groups


class Found(NamedTuple):
    """A match: whose pattern it is, and where."""

    owner: int
    start: int
    end: int


class Finder:
    """Finds the patterns of many owners (numbered by the caller) in a text.

    A pattern is tried only where a character stands that it may begin with, in a text that has what it needs; it is
    compiled when that happens first.
    """

    def __init__(self, words: Words) -> None:
        """words: the named groups of the patterns."""
        self._words = words
        self._by_first: dict[str, list[tuple[tuple[frozenset[str], ...], str, int]]] = {}

    def add(self, source: str, owner: int) -> None:
        """A list of patterns. Raises ValueError for what is no pattern."""
        for each in dict.fromkeys(source.split()):
            piece = _read(each, self._words)
            if piece.empty:
                raise ValueError(f"the pattern may match nothing: {each}")
            # What the first character settles is not asked again; what is rarest is asked first.
            needs = tuple(sorted((need for need in piece.needs if need != piece.firsts), key=len))
            for first in piece.firsts:
                self._by_first.setdefault(first, []).append((needs, piece.regex, owner))

    def find(self, text: str) -> list[Found]:
        """All matches, one for each pattern and place, from left to right."""
        there = frozenset(text)
        out: list[Found] = []
        for at, character in enumerate(text):
            for needs, regex, owner in self._by_first.get(character, ()):
                for need in needs:
                    if there.isdisjoint(need):
                        break
                else:
                    if match := _compiled(regex).match(text, at):
                        out.append(Found(owner, at, match.end()))
        return out


@cache
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)


def alternatives(source: str, words: Words) -> str:
    """One regular expression for a list of patterns, for use inside another."""
    return "(?:" + "|".join(_read(each, words).regex for each in source.split()) + ")"


def _read(pattern: str, words: Words) -> Piece:
    piece, end = _alternatives(pattern, 0, words, top=True)
    if end < len(pattern):
        raise ValueError(f"a bracket too many: {pattern}")
    return piece


def _alternatives(text: str, at: int, words: Words, *, top: bool) -> tuple[Piece, int]:
    """What stands up to the closing bracket (top: up to the end), and where that is."""
    options: list[Piece] = []
    sequence: list[Piece] = []
    while at < len(text) and text[at] != "]":
        if text[at] == "|":
            options.append(_joined(sequence))
            sequence = []
            at += 1
            continue
        piece, at = _item(text, at, words)
        if text[at : at + 1] in ("?", "*"):
            piece = Piece(f"(?:{piece.regex}){text[at]}", piece.firsts, empty=True)
            at += 1
        sequence.append(piece)
    if at == len(text) and not top:
        raise ValueError(f"an open bracket: {text}")
    return _any([*options, _joined(sequence)]), at


def _item(text: str, at: int, words: Words) -> tuple[Piece, int]:
    if text[at] == "[":
        piece, end = _alternatives(text, at + 1, words, top=False)
        return piece, end + 1
    if text[at] == "{":
        end = text.index("}", at)
        return words[text[at + 1 : end]], end + 1
    for gap, regex in (("...", f"[^{SENTENCE_ENDS}]{{0,14}}?"), ("..", f"[^{CLAUSE_ENDS}]{{0,6}}?")):
        if text.startswith(gap, at):
            return Piece(regex, frozenset(), empty=True), at + len(gap)
    if text[at] == "$":
        return Piece("$", frozenset(), empty=True), at + 1
    if text[at] == "#":
        return Piece("[0-9]", _FIGURES, empty=False, needs=(_FIGURES,)), at + 1
    character = "?" if text[at] == "？" else text[at]
    return Piece(re.escape(character), frozenset(character), empty=False, needs=(frozenset(character),)), at + 1


def _joined(pieces: list[Piece]) -> Piece:
    firsts: frozenset[str] = frozenset()
    for piece in pieces:
        firsts |= piece.firsts
        if not piece.empty:
            break
    needs = tuple(dict.fromkeys(need for piece in pieces for need in piece.needs))
    return Piece("".join(piece.regex for piece in pieces), firsts, all(piece.empty for piece in pieces), needs)


def _any(options: list[Piece]) -> Piece:
    if len(options) == 1:
        return options[0]
    longest_first = sorted({option.regex: option for option in options}.values(), key=lambda each: -len(each.regex))
    firsts: frozenset[str] = frozenset().union(*(option.firsts for option in options))
    regex = f"(?:{'|'.join(each.regex for each in longest_first)})"
    empty = any(option.empty for option in options)
    # One of the options is there, and with it what it needs first.
    needs = () if empty else (frozenset[str]().union(*(option.needs[0] for option in options)),)
    return Piece(regex, firsts, empty, needs)

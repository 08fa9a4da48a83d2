"""From the words of a question to the attributes it asks for."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, MatchKind

from bentsao.knowledge.linking.cues import CUES, SIGNS, SLOTS, Cues
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import ALIAS_TYPES, KINDS, SIDES, Kind, can_have

PARTICULAR: dict[str, tuple[str, ...]] = {
    **SIDES,
    "治疗方案": (*SIDES["治疗方案"], "治疗周期", "治疗费用"),
    "临床症状及体征": ("相关症状",),
    "注意事项": ("孕妇用药", "儿童用药", "老年用药"),
}
"""General attributes, and the particular ones that come before them where a question's words fit both."""

COMPANIONS: dict[str, str] = {"饮食禁忌": "饮食建议"}
"""Attributes under which many sources file what the other one asks for, so that it is asked for too."""

PLAIN, WEAK = 1.0, 0.5
"""The strength of a cue, and of one that is only a hint."""

_GENERAL = 0.8
_GAP = 6
_FARTHEST = 100
"""Characters between two parts of a pattern at most, names counted."""

_HEADS = 8
"""Beginnings of one pattern that a later part is joined to, the nearest. With more, a text of nothing but names costs
the square and more of its length.
"""

_BREAKS = frozenset(",。!?;:\n、")

Span = tuple[int, int]


class Form(NamedTuple):
    """A pattern of a cue: the attribute it asks for, of which kinds of entities, how strongly, in how many parts."""

    attribute: str
    kinds: frozenset[Kind]
    strength: float
    parts: int


class Cue(NamedTuple):
    """A cue found in a question: its pattern, and where its parts stand."""

    form: Form
    spans: tuple[Span, ...]


class _Uses:
    """What one wording is good for: patterns that are nothing else, and parts of the patterns of several parts."""

    def __init__(self) -> None:
        self.wholes: dict[Form, None] = {}
        self.firsts: list[int] = []
        self.laters: list[tuple[Form, int, int]] = []  # the pattern, which part, the pattern's number


class CueFinder:
    """Finds the cues of a question. Building takes a tenth of a second: use `cue_finder()`."""

    def __init__(self, all_cues: Iterable[Cues]) -> None:
        uses: dict[str, _Uses] = defaultdict(_Uses)
        for number, (cues, strength, pattern) in enumerate(_patterns(all_cues)):
            parts = [set(wordings(part)) for part in normalise(pattern).text.split("..")]
            form = Form(cues.attribute, _kinds_of(cues), strength, len(parts))
            for wording in parts[0]:
                if len(parts) == 1:
                    uses[wording].wholes[form] = None
                else:
                    uses[wording].firsts.append(number)
            for part, others in enumerate(parts[1:], start=1):
                for wording in others:
                    uses[wording].laters.append((form, part, number))
        self._uses = list(uses.values())
        self._about_names = [any(sign in wording for sign in SIGNS.values()) for wording in uses]
        self._automaton = AhoCorasick(list(uses), matchkind=MatchKind.Standard, store_patterns=False)

    def find(self, text: str, mentions: Mapping[Span, str] = MappingProxyType({})) -> list[Cue]:
        """The cues in a normalised text.

        mentions: the stretches that are names, and the sign of each (SIGNS; empty: none). A cue that overlaps
            one of them is none, unless it holds all of it.
        """
        found: list[Cue] = []
        named = _Named(mentions)
        begun: dict[tuple[int, int], list[tuple[Span, ...]]] = defaultdict(list)  # by pattern and part
        for wording, start, end in self._matches(text, mentions, named):
            uses, here = self._uses[wording], ((start, end),)
            found += [Cue(form, here) for form in uses.wholes]
            for form, part, pattern in uses.laters:
                for head in begun.get((pattern, part - 1), ())[-_HEADS:]:
                    if not _close(text, head[-1][1], start, named):
                        continue
                    if part + 1 == form.parts:
                        found.append(Cue(form, head + here))
                    else:
                        begun[pattern, part].append(head + here)
            for pattern in uses.firsts:
                begun[pattern, 0].append(here)
        return found

    def _matches(self, text: str, mentions: Mapping[Span, str], named: _Named) -> list[tuple[int, int, int]]:
        """The wordings in the text as it is, and those in it with names replaced by what they stand for."""
        found = self._automaton.find_matches_as_indexes(text, overlapping=True)
        if not mentions:
            return found
        replaced = list(text)
        for (begin, stop), sign in mentions.items():
            if sign:
                replaced[begin:stop] = sign * (stop - begin)
        of_names = self._automaton.find_matches_as_indexes("".join(replaced), overlapping=True)
        kept = [match for match in found if not named.cut(match[1], match[2])]
        return sorted(kept + [match for match in of_names if self._about_names[match[0]]], key=itemgetter(2))


@cache
def cue_finder() -> CueFinder:
    """The finder of all CUES, built once."""
    return CueFinder(CUES)


def wordings(part: str) -> Iterator[str]:
    """All that a pattern stands for: `{slot}` and `[a|b|]` spelt out."""
    choices: list[list[str]] = []
    for piece in re.findall(r"\{.*?\}|\[.*?\]|[^\[{]+", part):
        if piece[0] == "{":
            choices.append(SLOTS[piece[1:-1]].split("|"))
        else:
            choices.append(piece[1:-1].split("|") if piece[0] == "[" else [piece])
    for words in itertools.product(*choices):
        if wording := "".join(words):
            yield wording


def _patterns(all_cues: Iterable[Cues]) -> Iterator[tuple[Cues, float, str]]:
    for cues in all_cues:
        for strength, patterns in ((PLAIN, cues.everyday), (PLAIN, cues.clinical), (WEAK, cues.weak)):
            for pattern in patterns.split():
                yield cues, strength, pattern


def _kinds_of(cues: Cues) -> frozenset[Kind]:
    """The kinds of entities that these words ask something of. Asking for another name fits every kind."""
    naming = cues.attribute in ALIAS_TYPES.values()
    having = frozenset[Kind](kind for kind in KINDS if naming or can_have(kind, cues.attribute))
    return having & {*cues.kinds, "other"} if cues.kinds else having


class _Named:
    """Where the names of a text stand, none within another."""

    def __init__(self, mentions: Iterable[Span]) -> None:
        spans = sorted(mentions)
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]
        self._before = [0, *itertools.accumulate(end - start for start, end in spans)]  # characters of names so far

    def cut(self, start: int, end: int) -> bool:
        """Whether the stretch overlaps a name without holding all of it."""
        first, stop = bisect_right(self._ends, start), bisect_left(self._starts, end)
        return first < stop and not (start <= self._starts[first] and self._ends[stop - 1] <= end)

    def characters(self, start: int, end: int) -> int:
        """Characters of the names that lie within the stretch."""
        first, stop = bisect_left(self._starts, start), bisect_right(self._ends, end)
        return self._before[stop] - self._before[first] if first < stop else 0


def _close(text: str, start: int, end: int, named: _Named) -> bool:
    """Whether what stands between is short, counted without names, and no clause ends in it."""
    if not start <= end <= start + _FARTHEST or not _BREAKS.isdisjoint(text[start:end]):
        return False
    return end - start - named.characters(start, end) <= _GAP


@dataclass(frozen=True)
class Asked:
    """The attributes that a question asks of entities of one kind, with scores from 0 to 1, best first.

    `strength`: of the best cue (0: nothing is asked that they have); `words`: characters of the question that ask.
    """

    attributes: dict[str, float]
    strength: float
    words: int


def asked_of(cues: Sequence[Cue], kind: Kind) -> Asked:
    """What these cues ask of an entity of this kind.

    A cue inside a longer one does not count; weak ones count only where there are no others. What more of the question
    asks for comes first, then what it asks for last (people tell before they ask).
    """
    fitting = [cue for cue in cues if kind in cue.form.kinds]
    strength = max((form.strength for form, _ in fitting), default=0.0)
    fitting = [cue for cue in fitting if cue.form.strength == strength]
    within = inside({span for _, spans in fitting for span in spans})
    counted = [cue for cue in fitting if not within.issuperset(cue.spans)]
    covered: dict[str, set[int]] = {}
    for form, spans in counted:
        places = covered.setdefault(form.attribute, set())
        for start, end in spans:
            places.update(range(start, end))
    longest = max(map(len, covered.values()), default=1)
    last = max(map(max, covered.values()), default=1) or 1
    scores: dict[str, float] = {}
    for name, places in covered.items():
        score = strength * (0.7 + 0.2 * len(places) / longest + 0.1 * max(places) / last)
        particular = not covered.keys().isdisjoint(PARTICULAR.get(name, ()))
        scores[name] = score * _GENERAL if particular else score
    for name, companion in COMPANIONS.items():
        if name in scores:
            scores.setdefault(companion, scores[name] * _GENERAL)
    order = dict(sorted(scores.items(), key=lambda item: -item[1]))
    return Asked(order, strength, len(set().union(*covered.values())))


def inside(spans: Iterable[Span]) -> set[Span]:
    """Those that lie in a longer one."""
    found: set[Span] = set()
    farthest = -1
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if end <= farthest:
            found.add((start, end))
        farthest = max(farthest, end)
    return found

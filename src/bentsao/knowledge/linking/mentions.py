"""Which names stand in a question as they are written: the longest first, none within another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from ahocorasick_rs import AhoCorasick, MatchKind

from bentsao.knowledge.linking.attributes import PLAIN, Asked, Cue, asked_of, cue_finder, inside
from bentsao.knowledge.linking.cues import SIGNS
from bentsao.knowledge.linking.index import NameIndex, Owner
from bentsao.knowledge.linking.stretches import Stretches, codes_of
from bentsao.knowledge.linking.words import (
    BROAD,
    ENDINGS,
    FILLERS,
    FORMS,
    NEGATING,
    NO_NAMES,
    ORGANS,
    QUALIFYING,
    SALTS,
    SAME_AGAIN,
)
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import Kind

_QUALITY = re.compile(r"^.{,5}(?:(?<!变)性|型)$")
_LONGEST_TERM = 6  # characters after a name that may belong to a longer term


@dataclass(frozen=True)
class Mention:
    """A name in a question: text[start:end] of the normalised text, and the entities it calls.

    `likeness`: 1 where it is written as the name is, less the more it differs. `partial`: it is only a part of a longer
    term that the base does not know.
    """

    start: int
    end: int
    key: str
    owners: tuple[Owner, ...]
    likeness: float = 1.0
    partial: bool = False

    @property
    def span(self) -> tuple[int, int]:
        """Where it stands."""
        return self.start, self.end

    @property
    def sign(self) -> str:
        """What it stands for in the patterns of cues; empty: for nothing."""
        return SIGNS["symptom"] if self.broad else SIGNS.get(self.owners[0].kind, "")

    @property
    def broad(self) -> bool:
        """Whether it is a complaint that goes with many illnesses."""
        return self.key in BROAD or all(owner.kind in {"symptom", "body", "other"} for owner in self.owners)


@dataclass(frozen=True)
class Reading:
    """A question read as written: its names, its cues, and what is left over.

    `open`: for each character, whether nothing explains it (no name, cue, everyday word or sign does).
    `words`: stretches of everyday words and cues of more than one character.
    """

    text: str
    mentions: tuple[Mention, ...]
    cues: tuple[Cue, ...]
    open: tuple[bool, ...]
    words: tuple[tuple[int, int], ...]
    _asked: dict[Kind, Asked] = field(default_factory=dict[Kind, Asked])

    @property
    def unclear(self) -> bool:
        """Whether what is left over may be a name: it is two characters or more, or beside a name, or there is none."""
        if not self.mentions:
            return True in self.open
        near = [self.open[max(0, m.start - 2) : m.start] + self.open[m.end : m.end + 2] for m in self.mentions]
        return any(map(any, near)) or any(one and other for one, other in pairwise(self.open))

    @property
    def strongest(self) -> float:
        """The strength of the best cue; 0 where nothing is asked."""
        return max((cue.form.strength for cue in self.cues), default=0.0)

    def asked_of(self, kind: Kind) -> Asked:
        """What the question asks of an entity of this kind."""
        if kind not in self._asked:
            self._asked[kind] = asked_of(self.cues, kind)
        return self._asked[kind]


def read(text: str, index: NameIndex) -> Reading:
    """Read a normalised text."""
    named = list(_longest(text, index))
    cues = cue_finder().find(text, {mention.span: mention.sign for mention in named})
    within = inside({*(mention.span for mention in named), *(span for cue in cues for span in cue.spans)})
    named = [mention for mention in named if not (mention.broad and mention.span in within)]
    # A hint of one character (血, 药) explains nothing: it may be a part of a misspelt name.
    words = [(a, b) for form, spans in cues for a, b in spans if form.strength == PLAIN or b - a > 1] + _everyday(text)
    covered = [not character.isalnum() for character in text]
    for start, end in [*words, *(mention.span for mention in named)]:
        covered[start:end] = [True] * (end - start)
    kept: list[Mention] = []
    for mention in named:
        if mention.end - mention.start == 1 and not _alone(mention, covered):
            covered[mention.start] = False
        else:
            kept.append(_checked(mention, text, covered, named))
    long = tuple(sorted({(start, end) for start, end in words if end - start > 1}))
    return Reading(text, tuple(kept), tuple(cues), tuple(not known for known in covered), long)


def _longest(text: str, index: NameIndex) -> Iterator[Mention]:
    stretches = Stretches(codes_of(text), index.longest)
    found = [
        (int(stretches.starts[place]), int(stretches.ends[place]), number)
        for place, number in index.exact.find(stretches.hashes())
    ]
    taken = [False] * len(text)
    chosen: list[tuple[int, int, int]] = []
    for start, end, number in sorted(found, key=lambda hit: (hit[0] - hit[1], hit[0])):
        if any(taken[start:end]) or not names_something(text[start:end]) or cuts_word(text, start, end):
            continue
        if index.key(number) == text[start:end]:
            taken[start:end] = [True] * (end - start)
            chosen.append((start, end, number))
    for start, end, number in sorted(chosen):
        yield Mention(start, end, text[start:end], best_owners(index.owners(number)))


def best_owners(owners: Sequence[Owner]) -> tuple[Owner, ...]:
    """Those that are called most properly: an entity's own name wins over another's alias."""
    return tuple(owner for owner in owners if owner.how == owners[0].how)


def names_something(key: str) -> bool:
    """Whether a name in the base may be meant by it: not a shred, an everyday word or a mere quality (局限性)."""
    return key not in NO_NAMES and key not in FILLERS and not _QUALITY.match(key)


def cuts_word(text: str, start: int, end: int) -> bool:
    """Whether text[start:end] begins or ends inside a Latin word or a figure."""
    return any(0 < at < len(text) and _latin(text[at - 1]) and _latin(text[at]) for at in (start, end))


def _latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _alone(mention: Mention, covered: Sequence[bool]) -> bool:
    """Whether a name of one character stands among words that are understood without it."""
    before = mention.start == 0 or covered[mention.start - 1]
    return before and (mention.end == len(covered) or covered[mention.end])


def _checked(mention: Mention, text: str, covered: Sequence[bool], mentions: Sequence[Mention]) -> Mention:
    """The mention, marked as partial where a longer term than the base knows goes on around it."""
    drug = mention.owners[0].kind == "drug"
    partial = _goes_on(mention, text, covered, drug) or _comes_from(mention, text, covered, drug, mentions)
    return Mention(mention.start, mention.end, mention.key, mention.owners, partial=True) if partial else mention


def _goes_on(mention: Mention, text: str, covered: Sequence[bool], drug: bool) -> bool:
    """Whether a longer term goes on after the mention."""
    begin = mention.end + text.startswith(SALTS if drug else SAME_AGAIN, mention.end)
    after = begin
    while after < len(text) and after - begin < _LONGEST_TERM and not covered[after]:
        after += 1
    if text.startswith(QUALIFYING, mention.end):
        return True
    if text.startswith(FORMS, after) and not (drug and after == begin):
        return True
    return any(text[begin:at].endswith(ENDINGS) for at in range(begin + 1, after + 1))


def _comes_from(mention: Mention, text: str, covered: Sequence[bool], drug: bool, mentions: Sequence[Mention]) -> bool:
    """Whether the mention is the end of a longer term."""
    before = mention.start - 1
    if before < 0 or covered[before]:
        return False
    if drug or text[before] in NEGATING:
        return True
    if text[before] in ORGANS:
        return not mention.broad
    return text[before] in QUALIFYING and not any(other.end == before for other in mentions)


def _everyday(text: str) -> list[tuple[int, int]]:
    return [(start, end) for _, start, end in _everyday_words().find_matches_as_indexes(text)]


@cache
def _everyday_words() -> AhoCorasick:
    words = sorted({normalise(word).text for word in FILLERS})
    return AhoCorasick(words, matchkind=MatchKind.LeftmostLongest, store_patterns=False)

"""Whether two sets share rows: before a score is reported, what is tested must not have been learnt."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal

from bentsao.construction.similarity import NearIndex
from bentsao.construction.texts import texts
from bentsao.core.records import Conversation, Question, Record
from bentsao.knowledge.grams import folded

Kind = Literal["verbatim", "question", "near"]

KINDS: dict[Kind, str] = {"verbatim": "问与答逐字相同", "question": "问题逐字相同", "near": "近似"}

NEAR = 0.75
"""Jaccard similarity of character trigrams from which on a question, or question and answer, is a near copy.

Lower than a filter's limit for questions: here a pair is shown to a person, and a copy missed is worse than one too
many. Of the original's data, pairs of questions from 0.75 to 0.85 are the same case asked another thing.
"""

SHORT = 8
"""A dialogue's first question of fewer letters and digits (你好，请问) is too common to be a copy by itself."""


class Pair(Record):
    """A row of the first set and the most alike row of the second. similarity: 1 where they are verbatim."""

    a: str
    b: str
    kind: Kind
    similarity: float
    text: str


class Overlap(Record):
    """How many rows the first set has, how many of them are verbatim or near copies of rows of the second, and which.

    A row counts once, under the strongest of verbatim and near; with the question alone verbatim it counts as verbatim.
    """

    rows: int
    verbatim: int
    near: int
    pairs: tuple[Pair, ...]

    @property
    def share(self) -> float:
        """Copies of either kind among the rows of the first set; 0 where it has none."""
        return (self.verbatim + self.near) / self.rows if self.rows else 0.0


def overlap(a: Iterable[Conversation | Question], b: Iterable[Conversation | Question]) -> Overlap:
    """The rows of `a` that are in `b`, verbatim or nearly; only letters and digits count, in one width and case.

    The question counts alone, and with its answer; in a dialogue also its first question. `b` is read once and lies
    in a temporary file, so it may be large.
    """
    known = _Known()
    for row in b:
        known.add(row)
    pairs: list[Pair] = []
    count = 0
    for row in a:
        count += 1
        if pair := known.pair(row):
            pairs.append(pair)
    verbatim = sum(pair.kind != "near" for pair in pairs)
    return Overlap(rows=count, verbatim=verbatim, near=len(pairs) - verbatim, pairs=tuple(pairs))


class _Known:
    """The second set: its texts as keys, for what is verbatim, and as signatures, for what is near."""

    def __init__(self) -> None:
        self._said: dict[int, str] = {}
        self._asked: dict[int, str] = {}
        self._rows, self._questions = NearIndex(NEAR), NearIndex(NEAR)

    def add(self, row: Conversation | Question) -> None:
        whole, alone = _texts(row)
        if whole:
            self._said.setdefault(_key(whole), row.id)
            self._rows.add(row.id, whole)
        for question in alone:
            self._asked.setdefault(_key(question), row.id)
            self._questions.add(row.id, question)

    def pair(self, row: Conversation | Question) -> Pair | None:
        """The strongest likeness: the whole verbatim, a question verbatim, then whichever is most alike."""
        whole, alone = _texts(row)
        if whole and (other := self._said.get(_key(whole))):
            return Pair(a=row.id, b=other, kind="verbatim", similarity=1.0, text=whole)
        for question in alone:
            if other := self._asked.get(_key(question)):
                return Pair(a=row.id, b=other, kind="question", similarity=1.0, text=question)
        looked_up = [(self._questions.nearest(question), question) for question in alone]
        looked_up.append((self._rows.nearest(whole) if whole else None, whole))
        found = [(near, text) for near, text in looked_up if near]
        if not found:
            return None
        near, text = max(found, key=lambda one: one[0].similarity)
        return Pair(a=row.id, b=near.name, kind="near", similarity=round(near.similarity, 4), text=text)


def _texts(row: Conversation | Question) -> tuple[str, list[str]]:
    """(question and answer, "" where no answer is known; the questions that count alone)."""
    said = texts(row)
    together = said.question
    whole = f"{together}\n{said.answer}" if folded(said.answer) else ""
    first = said.questions[0] if len(said.questions) > 1 else ""
    opening = [first] if len(folded(first)) >= SHORT else []
    return whole, [together, *opening]


def _key(text: str) -> int:
    """64 bits of the text: of a million texts two are the same by chance with a probability of 10^-7."""
    return int.from_bytes(blake2b(folded(text).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")

"""How varied a set of rows is: distinct bigrams, likeness to the nearest other row, lengths.

One pass over the rows; a hash is kept of each.

Distinct-2 falls as a set grows, whatever is in it, so two sets compare only on samples of one size. The sample is
drawn by a hash of the row's id and the seed: the same rows each time, in whatever order they come.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from statistics import mean

import numpy as np

from bentsao.construction.similarity import jaccard, shingles, signature
from bentsao.construction.texts import texts
from bentsao.core.records import Conversation, Record
from bentsao.knowledge.grams import folded

SAMPLE_ROWS = 1000
"""Rows in the sample, at most: nearest neighbours among 1000 take a second."""

SAMPLE_BIGRAMS = 10_000
"""Bigrams of the sample that distinct-2 is counted over: about 200 rows of the original's data."""

BUCKET = 20
"""Characters in a step of the length distribution."""


class Lengths(Record):
    """Characters of a text, blanks included: mean, median, 5th and 95th percentile, and counts by the step's start."""

    mean: float
    median: int
    p5: int
    p95: int
    histogram: dict[int, int]


class Variety(Record):
    """The figures of the questions or of the answers.

    `distinct_2`: different character bigrams over all bigrams, in the whole set. `distinct_2_sample`: the same over
    the first SAMPLE_BIGRAMS of the sample; None where the set has fewer. `self_similarity`: the Jaccard similarity of
    a sampled row to the one most like it in the sample, on average; None with fewer than two rows. `distinct`:
    different texts over all texts.
    """

    distinct_2: float
    distinct_2_sample: float | None
    self_similarity: float | None
    distinct: float
    lengths: Lengths


class Diversity(Record):
    """Rows, how many of them were sampled, and the figures of what is asked and what is answered."""

    rows: int
    sampled: int
    questions: Variety
    answers: Variety


def diversity(conversations: Iterable[Conversation], seed: int = 0) -> Diversity:
    """The figures of a set. A dialogue's questions count as one text, and so do its answers."""
    questions, answers = _Counts(), _Counts()
    sample: list[tuple[int, int, str, str]] = []
    rows = 0
    for conversation in conversations:
        said = texts(conversation)
        questions.add(said.question)
        answers.add(said.answer)
        order = -rank(conversation.id, seed)
        keep = heapq.heappush if len(sample) < SAMPLE_ROWS else heapq.heappushpop
        keep(sample, (order, rows, said.question, said.answer))
        rows += 1
    sample.sort(reverse=True)
    return Diversity(
        rows=rows,
        sampled=len(sample),
        questions=questions.variety([question for _, _, question, _ in sample]),
        answers=answers.variety([answer for _, _, _, answer in sample]),
    )


def distinct_2(said: Iterable[str], limit: int | None = None) -> float | None:
    """Different bigrams over all bigrams of the texts, or over the first `limit`; None if there are fewer, or none.

    Bigrams are of letters and digits, in one width and case, and do not reach from one text into the next.
    """
    seen: set[str] = set()
    total = 0
    for text in said:
        for pair in pairwise(folded(text)):
            seen.add("".join(pair))
            total += 1
            if total == limit:
                return len(seen) / total
    return len(seen) / total if total and limit is None else None


def self_similarity(said: Sequence[str]) -> float | None:
    """The Jaccard similarity of each text to the one most like it, on average; None with fewer than two texts.

    MinHash finds which one it is, the similarity is exact.
    """
    sets = [shingles(text) for text in said]
    if len(sets) < 2:
        return None
    signatures = np.stack([signature(of) for of in sets])
    nearest: list[float] = []
    for at, own in enumerate(signatures):
        agreeing = (signatures == own).sum(axis=1)
        agreeing[at] = -1
        nearest.append(jaccard(sets[at], sets[int(agreeing.argmax())]))
    return mean(nearest)


@dataclass
class _Counts:
    """What is counted of every text."""

    bigrams: set[str] = field(default_factory=set[str])
    total: int = 0
    texts: set[bytes] = field(default_factory=set[bytes])
    lengths: Counter[int] = field(default_factory=Counter[int])

    def add(self, text: str) -> None:
        plain = folded(text)
        self.bigrams.update(plain[at : at + 2] for at in range(len(plain) - 1))
        self.total += max(0, len(plain) - 1)
        self.texts.add(blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        self.lengths[len(text)] += 1

    def variety(self, sample: Sequence[str]) -> Variety:
        rows = self.lengths.total()
        return Variety(
            distinct_2=len(self.bigrams) / self.total if self.total else 0.0,
            distinct_2_sample=distinct_2(sample, SAMPLE_BIGRAMS),
            self_similarity=self_similarity(sample),
            distinct=len(self.texts) / rows if rows else 0.0,
            lengths=_lengths(self.lengths, rows),
        )


def _lengths(counts: Counter[int], rows: int) -> Lengths:
    steps: Counter[int] = Counter()
    for length, count in counts.items():
        steps[length // BUCKET * BUCKET] += count
    return Lengths(
        mean=sum(length * count for length, count in counts.items()) / rows if rows else 0.0,
        median=_percentile(counts, rows, 0.5),
        p5=_percentile(counts, rows, 0.05),
        p95=_percentile(counts, rows, 0.95),
        histogram=dict(sorted(steps.items())),
    )


def _percentile(counts: Counter[int], rows: int, share: float) -> int:
    """The smallest length that at least this share of the texts does not exceed; 0 where there are none."""
    below = 0
    for length, count in sorted(counts.items()):
        below += count
        if below >= share * rows:
            return length
    return 0


def rank(name: str, seed: int) -> int:
    """Where a row stands in the drawing of a sample: those with the smallest number are drawn."""
    return int.from_bytes(blake2b(f"{seed}\n{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")

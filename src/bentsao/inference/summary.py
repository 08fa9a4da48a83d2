"""What a run of answers looks like in figures, before anyone reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bentsao.core.records import Answer
from bentsao.core.repetition import loops


@dataclass(frozen=True)
class Summary:
    """Counts of answers by how they finished, and of those that loop.

    `looping` counts answers that repeat a 12-gram (see `core.repetition`); `tokens` generated, in `seconds` of
    generation.
    """

    answers: int
    ended: int
    cut: int
    errors: int
    looping: int
    tokens: int
    seconds: float

    @property
    def looping_share(self) -> float:
        """Looping answers among those there are (errors left out); 0 if there are none."""
        given = self.answers - self.errors
        return self.looping / given if given else 0.0

    @property
    def tokens_per_second(self) -> float:
        """0 where no time was measured."""
        return self.tokens / self.seconds if self.seconds else 0.0


def summarize(answers: Sequence[Answer]) -> Summary:
    """The figures of a run."""
    finishes = Counter(answer.finish for answer in answers)
    return Summary(
        answers=len(answers),
        ended=finishes["end"],
        cut=finishes["length"],
        errors=finishes["error"],
        looping=sum(loops(answer.text) for answer in answers),
        tokens=sum(answer.tokens for answer in answers),
        seconds=sum(answer.seconds for answer in answers),
    )

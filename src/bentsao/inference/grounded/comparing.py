"""Which answers change between two bundles, and which facts changed under them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bentsao.core.grounding import fact_line
from bentsao.core.records import Record
from bentsao.inference.grounded.records import GroundedAnswer


class Change(Record):
    """A question that two bundles answer differently.

    gone, new: facts, a line each, that only the first or only the second answer stands on.
    """

    question: str
    before: GroundedAnswer
    after: GroundedAnswer
    gone: tuple[str, ...]
    new: tuple[str, ...]


def changes(before: Sequence[GroundedAnswer], after: Sequence[GroundedAnswer]) -> Iterator[Change]:
    """The changes between the answers of two bundles to the same questions, in their order."""
    for one, other in zip(before, after, strict=True):
        mine, theirs = _facts(one), _facts(other)
        gone = tuple(line for line in mine if line not in theirs)
        new = tuple(line for line in theirs if line not in mine)
        if one.answer != other.answer or gone or new:
            yield Change(question=one.question, before=one, after=other, gone=gone, new=new)


def _facts(answer: GroundedAnswer) -> tuple[str, ...]:
    return tuple(fact_line(item.fact) for item in answer.evidence)

"""What the teacher must write: JSON of one shape for each job."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from bentsao.core.records import Record
from bentsao.models.remote.reading import ReplyError

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

MOST_TURNS = 6


class Pair(Record):
    """A question with its answer, and the numbers of the facts that the answer stands on."""

    question: Text
    answer: Text
    facts: Annotated[tuple[int, ...], Field(min_length=1)]


class Pairs(Record):
    """The reply to a call for questions and answers."""

    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]


class Sentence(Record):
    """A sentence of an answer: what the paper says, or what is generally known."""

    text: Text
    origin: Literal["paper", "general"]


class Exchange(Record):
    """A turn of a dialogue: what the user asks and what the assistant answers."""

    question: Text
    answer: Annotated[tuple[Sentence, ...], Field(min_length=1)]


class Dialogue(Record):
    """The reply to a call for a dialogue."""

    turns: Annotated[tuple[Exchange, ...], Field(min_length=1, max_length=MOST_TURNS)]


def check_numbers(pairs: Pairs, facts: int) -> Pairs:
    """The pairs, if each cites only facts 1 to `facts`. Raises ReplyError."""
    wrong = sorted({number for pair in pairs.pairs for number in pair.facts if not 1 <= number <= facts})
    if wrong:
        raise ReplyError("引用了没有的资料", f"资料只有 1 到 {facts} 号，没有 {'、'.join(map(str, wrong))} 号。")
    return pairs

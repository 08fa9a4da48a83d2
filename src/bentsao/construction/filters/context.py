"""What filters know besides the row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bentsao.construction.similarity import NearIndex
from bentsao.core.records import Conversation
from bentsao.knowledge.verify import Mentions
from bentsao.knowledge.verify.evidence import Aliases

NEAR_ROW = 0.75
"""Question and answer together are a near copy from this Jaccard similarity on.

Among the 8,658 rows of the original's data, all pairs from 0.75 on were read as the same case with another age, name
or symptom and the same answer; from 0.65 to 0.75 a third have another question or a longer answer.
"""

NEAR_QUESTION = 0.85
"""The question alone is a near copy from here on, whatever the answer.

Between 0.75 and 0.85 the original's pairs ask for different things of the same case (所属科室 and 治疗方案 at
0.80); from 0.85 on they ask the same.
"""


@dataclass
class Context:
    """One run of the filters: the names that the verifier knows, and the rows let through so far.

    `vocabulary`: finds names in text, None: only those in the row's own evidence. `aliases`: the other names of a name,
    None: only those in the evidence. A context belongs to one run: the next needs a fresh one.
    """

    vocabulary: Mentions | None = None
    aliases: Aliases | None = None
    questions: NearIndex = field(default_factory=lambda: NearIndex(NEAR_QUESTION))
    rows: NearIndex = field(default_factory=lambda: NearIndex(NEAR_ROW))

    @property
    def size(self) -> tuple[int, int]:
        """How much is remembered, for `forget`."""
        return len(self.questions), len(self.rows)

    def forget(self, size: tuple[int, int]) -> None:
        """Remember only what was let through when the size was this."""
        self.questions.cut(size[0])
        self.rows.cut(size[1])


Filter = Callable[[Conversation, Context], "str | None"]
"""Why a row is unfit, or None."""


def reason(label: str, piece: str, limit: int = 60) -> str:
    """A reason with the offending piece of text, shortened in its middle."""
    shown = " ".join(piece.split())
    if len(shown) > limit:
        shown = f"{shown[: limit // 2]}……{shown[-limit // 2 :]}"
    return f"{label}：“{shown}”"


def label_of(why: str) -> str:
    """The label of a reason."""
    return why.partition("：")[0]


def around(text: str, found: re.Match[str], width: int = 12) -> str:
    """What was found, with a few characters on both sides."""
    return text[max(0, found.start() - width) : found.end() + width]


def first_match(patterns: Iterable[tuple[str, re.Pattern[str]]], text: str) -> str | None:
    """The reason of the first pattern that is found in the text."""
    for label, pattern in patterns:
        if found := pattern.search(text):
            return reason(label, around(text, found))
    return None

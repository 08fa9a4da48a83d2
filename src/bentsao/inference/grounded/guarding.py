"""The guard: what an answer claims is checked against its facts after it is written.

A sentence with a claim that the facts do not say, or speak against, does not stand as if they did: it is removed or
marked. Citation marks are put right: no mark without its fact, no borne-out claim without a mark.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Literal

from bentsao.core.grounding import cited_numbers, mark, without_marks
from bentsao.core.records import Evidence
from bentsao.knowledge.verify import Claim, Mentions, verify

_WARNING = "（资料中没有这一点）"

Aliases = Callable[[str], Iterable[str]]


def guarded(
    text: str,
    evidence: Sequence[Evidence],
    how: Literal["remove", "mark"],
    *,
    vocabulary: Mentions | None = None,
    aliases: Aliases | None = None,
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The answer as it may stand, and the sentences that may not, each with the reason."""
    facts = [item.fact for item in evidence]
    numbers = {item.number for item in evidence}
    parts = sentences(text)
    plain = [without_marks(part) for part in parts]
    ends = list(accumulate(map(len, plain)))
    # The whole is verified at once: a sentence may speak of what the one before it named.
    found: list[list[Claim]] = [[] for _ in parts]
    for claim in verify("".join(plain), facts, vocabulary=vocabulary, aliases=aliases).claims:
        found[bisect_right(ends, claim.start)].append(claim)
    kept: list[str] = []
    removed: list[tuple[str, str]] = []
    for part, words, claims in zip(parts, plain, found, strict=True):
        wrong = [claim for claim in claims if claim.verdict != "supported"]
        if wrong:
            removed.append((words.strip(), wrong[0].reason))
        if not wrong:
            kept.append(_marked(part, claims, evidence, numbers))
        elif how == "mark":
            kept.append(words + _WARNING)
    return "".join(kept).strip(), tuple(removed)


def sentences(text: str) -> list[str]:
    """The text cut after each sentence's end and line break; joined they are the text."""
    return re.findall(r"[^。！？\n]*[。！？\n]+(?:\[\d+\])*|[^。！？\n]+$", text)


def _marked(sentence: str, claims: Sequence[Claim], evidence: Sequence[Evidence], numbers: set[int]) -> str:
    """The sentence with marks for facts that are there, and for each fact that bears out one of its claims."""
    sentence = re.sub(r"\[(\d{1,4})\]", lambda found: found[0] if int(found[1]) in numbers else "", sentence)
    bearing = {item.number for item in evidence for claim in claims if claim.fact == item.fact}
    absent = sorted(bearing - set(cited_numbers(sentence)))
    if not absent:
        return sentence
    body = sentence.rstrip("。！？\n")
    return body + "".join(map(mark, absent)) + sentence[len(body) :]

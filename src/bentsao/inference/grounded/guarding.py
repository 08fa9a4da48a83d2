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
from bentsao.core.records import Evidence, Fact
from bentsao.inference.grounded.advice import baseless_advice
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.verify import Claim, Mentions, verify
from bentsao.knowledge.verify.quantities import quantities

_WARNING = "（资料中没有这一点）"

Aliases = Callable[[str], Iterable[str]]

Removed = tuple[str, str]
"""A sentence that may not stand, and why."""


def guarded(
    text: str,
    evidence: Sequence[Evidence],
    how: Literal["remove", "mark"],
    *,
    asked: str = "",
    vocabulary: Mentions | None = None,
    aliases: Aliases | None = None,
) -> tuple[str, tuple[Removed, ...]]:
    """The answer as it may stand, and the sentences that may not, each with the reason.

    asked: the question and the names looked up in vain: what is named there, the answer may say that it did not find.
    how: as in Policy. vocabulary, aliases: as for `verify`.
    """
    facts = [item.fact for item in evidence]
    parts = sentences(text)
    plain = [without_marks(part) for part in parts]
    ends = list(accumulate(map(len, plain)))
    whole, asked = "".join(plain), normalise(asked).text
    # The whole is verified at once: a sentence may speak of what the one before it named.
    found: list[list[Claim]] = [[] for _ in parts]
    for claim in verify(whole, facts, vocabulary=vocabulary, aliases=aliases).claims:
        if claim.verdict != "beyond" or not (_is_denied(claim, whole, asked) or _is_within_value(claim, whole, facts)):
            found[bisect_right(ends, claim.start)].append(claim)
    kept: list[str] = []
    removed: list[Removed] = []
    for part, words, claims in zip(parts, plain, found, strict=True):
        wrong = [claim for claim in claims if claim.verdict != "supported"]
        advice = baseless_advice(words, facts, borne_out=len(claims) > len(wrong))
        if wrong or advice:
            removed.append((words.strip(), advice or wrong[0].reason))
        if not wrong and not advice:
            kept.append(_marked(part, claims, evidence))
        elif how == "mark" and not advice and not any(map(_is_dangerous, wrong)):
            kept.append(words.rstrip("\n") + _WARNING)
    return "".join(kept).strip(), tuple(removed)


def sentences(text: str) -> list[str]:
    """The text cut after each sentence's end and line break; joined they are the text."""
    return re.findall(r"[^。！？\n]*[。！？\n]+(?:\[\d+\])*|[^。！？\n]+$", text)


# ---- claims beyond the facts that do no harm ------------------------------------------------------------------------

_CLAUSE_END = re.compile("[,，;；:：。！？!?\n]")
_ABSENT = re.compile("没有|没把|未(?:见|提|列|写|查|说|记|载|包|给|把|收)|不(?:在|属|是|含|包|见|列)|并无|[看查]不到")
_THEN_ABSENT = re.compile("[,，](?:现有|手头的?)?(?:资料|知识库)[^,，。]{0,6}(?:没|未)")


def _is_denied(claim: Claim, whole: str, asked: str) -> bool:
    """Whether the answer only says that it did not find what it was asked about: 资料里没有提到阴道炎."""
    if normalise(claim.text).text not in asked:
        return False
    start = max((stop.end() for stop in _CLAUSE_END.finditer(whole, 0, claim.start)), default=0)
    stop = _CLAUSE_END.search(whole, claim.end)
    end = stop.start() if stop else len(whole)
    around = (whole[start : claim.start], whole[claim.end : end])
    return any(map(_ABSENT.search, around)) or bool(_THEN_ABSENT.match(whole, end))


def _is_within_value(claim: Claim, whole: str, facts: Sequence[Fact]) -> bool:
    """Whether the claim is only a part of a value that the answer gives in full: 肾功能 in 按肾功能减量."""
    for value in (value for fact in facts for value in fact.values if claim.text in value and claim.text != value):
        start = whole.rfind(value, 0, claim.start + len(value))
        if 0 <= start <= claim.start and claim.end <= start + len(value):
            return True
    return False


def _is_dangerous(claim: Claim) -> bool:
    """Whether a claim may not even stand with a warning: a fact speaks against it, or it is a figure."""
    return claim.verdict == "contradicted" or bool(quantities(normalise(claim.text).text))


# ---- citation marks -------------------------------------------------------------------------------------------------


def _marked(sentence: str, claims: Sequence[Claim], evidence: Sequence[Evidence]) -> str:
    """The sentence with the marks of facts that bear it out, and of no others."""
    bearing = [_bearing(claim, evidence) for claim in claims]
    words = normalise(without_marks(sentence)).text
    good = {item.number for item in evidence if not bearing or _is_said(item.fact, words)}.union(*bearing)
    sentence = re.sub(r"\[(\d{1,4})\]", lambda found: found[0] if int(found[1]) in good else "", sentence)
    cited = set(cited_numbers(sentence))
    absent: list[int] = []
    for numbers in bearing:
        if numbers and cited.isdisjoint(numbers):
            cited.add(numbers[0])
            absent.append(numbers[0])
    if not absent:
        return sentence
    body = sentence.rstrip("。！？\n")
    return body + "".join(map(mark, sorted(absent))) + sentence[len(body) :]


def _bearing(claim: Claim, evidence: Sequence[Evidence]) -> list[int]:
    """The numbers of the facts that say what is claimed: the verifier's first, then others with the same value."""
    own = [item.number for item in evidence if item.fact == claim.fact]
    return own + [item.number for item in evidence if claim.value in item.fact.values and item.number not in own]


def _is_said(fact: Fact, words: str) -> bool:
    return any(normalise(value).text in words for value in fact.values)

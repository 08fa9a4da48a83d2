"""Values put into words: lists, conditions, citation marks; a sentence reads, and each value has its source."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from bentsao.construction.grammar import AttributeGrammar, filled
from bentsao.core.grounding import mark
from bentsao.core.records import Fact

_CONDITIONS = ("分情况看，", "具体来说，", "按情况分：")
_MORE_CONDITIONS = ("另外，", "此外，", "还要分情况看：")
_MORE = ("此外还有{values}{cite}。", "另外还提到{values}{cite}。", "还包括{values}{cite}。")


def listed(values: Sequence[str]) -> str:
    """Values as they are listed in a sentence: 甲、乙和丙; by semicolons where values are half sentences."""
    values = [value.rstrip("。；;") for value in values]
    if len(values) > 1 and any(re.search(r"[，、；。]", value) or len(value) > 14 for value in values):
        return "；".join(values)
    return "和".join(filter(None, ("、".join(values[:-1]), values[-1])))


def stated(patterns: AttributeGrammar, name: str, facts: Sequence[Fact], rng: random.Random, *, first: int = 1) -> str:
    """Facts of one attribute as sentences, each value with the mark of its fact. first: the number of the first mark.

    What holds always is said by an answer pattern; what holds under a condition follows, with its condition.
    """
    numbered = list(enumerate(facts, start=first))
    plain = [(number, fact) for number, fact in numbered if fact.qualifier is None]
    conditional = [(number, fact) for number, fact in numbered if fact.qualifier is not None]
    sentences: list[str] = []
    short = rng.choice(patterns.short)
    if plain:
        number, fact = plain[0]
        pattern = rng.choice(patterns.answer)
        sentences.append(filled(pattern, e=name, values=listed(fact.values), cite=mark(number), short=short))
        sentences += [
            filled(rng.choice(_MORE), values=listed(fact.values), cite=mark(number)) for number, fact in plain[1:]
        ]
    if conditional:
        lead = rng.choice(_MORE_CONDITIONS) if plain else f"{name}的{short}，" + rng.choice(_CONDITIONS)
        cases = [f"{fact.qualifier}：{listed(fact.values)}{mark(number)}" for number, fact in conditional]
        sentences.append(lead + "；".join(cases) + "。")
    return tidy("".join(sentences))


def marks(facts: Sequence[Fact], first: int = 1) -> str:
    """The marks of several facts in a row."""
    return "".join(mark(number) for number in range(first, first + len(facts)))


def tidy(text: str) -> str:
    """Without the doubled punctuation that filling slots can leave."""
    text = re.sub(r"([，。；：、？！])\1+", r"\1", text)
    return re.sub(r"。([；，])", r"\1", text)

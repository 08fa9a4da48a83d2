"""Values put into words: lists, conditions, citation marks; a sentence reads, and each value has its source."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from bentsao.construction.grammar import AttributeGrammar, Patterns, filled
from bentsao.core.grounding import mark
from bentsao.core.records import Fact

HALF_SENTENCES = frozenset(
    {"预后状况", "发病机制", "病理生理", "危险信号", "注意事项", "药物相互作用", "用法用量", "孕妇用药", "儿童用药",
     "老年用药"}
)  # fmt: skip
"""Attributes whose values say something (易复发, 伴晕厥): 、 and 和 between them would glue sentences."""

_BEGINS_WITH_VALUES = re.compile(r"(?:^|。)“?\{(?:values|va|vb)\}")
_CONDITIONS = ("分情况看，", "具体来说，", "按情况分：")
_MORE_CONDITIONS = ("另外，", "此外，", "还要分情况看：")
_MORE = ("此外还有{values}{cite}。", "另外还提到{values}{cite}。", "另有资料提到{values}{cite}。")


def listed(values: Sequence[str], *, apart: bool = False) -> str:
    """Values as they are listed in a sentence: 甲、乙和丙; by semicolons where one is half a sentence, or `apart`."""
    values = [value.rstrip("。；;") for value in values]
    if len(values) > 1 and (apart or any(re.search(r"[，、；。和或及]", value) or len(value) > 14 for value in values)):
        return "；".join(values)
    return "和".join(filter(None, ("、".join(values[:-1]), values[-1])))


def worded(fact: Fact) -> str:
    """The values of one fact as they are listed."""
    return listed(fact.values, apart=fact.attribute in HALF_SENTENCES)


def cited(facts: Sequence[Fact], first: int = 1) -> tuple[str, str]:
    """All that facts of one attribute say, for the slots `values` and `cite`. first: the number of the first mark.

    Several facts, and those that hold under a condition, bring their marks along: 甲和乙[1]；儿童：丙[2].
    """
    if len(facts) == 1 and facts[0].qualifier is None:
        return worded(facts[0]), mark(first)
    return "；".join(f"{_case(fact)}{mark(number)}" for number, fact in enumerate(facts, start=first)), ""


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
        sentences.append(filled(pattern, e=name, values=worded(fact), cite=mark(number), short=short))
        sentences += [filled(rng.choice(_MORE), values=worded(fact), cite=mark(number)) for number, fact in plain[1:]]
    if conditional:
        cases = [f"{_case(fact)}{mark(number)}" for number, fact in conditional]
        if plain:
            lead = rng.choice(_MORE_CONDITIONS)
        else:
            lead = f"{name}的{short}，" + (rng.choice(_CONDITIONS) if len(cases) > 1 else "")
        sentences.append(lead + "；".join(cases) + "。")
    return tidy("".join(sentences))


def answering(patterns: Patterns, cite: str, rng: random.Random) -> str:
    """A pattern for values as `cited` gives them: where they are several cases, no sentence begins with them."""
    fitting = patterns if cite else tuple(pattern for pattern in patterns if not _BEGINS_WITH_VALUES.search(pattern))
    return rng.choice(fitting or patterns)


def tidy(text: str) -> str:
    """Without the doubled punctuation that filling slots can leave."""
    text = re.sub(r"[。，]+([；，。：])", r"\1", text)
    return re.sub(r"([，。；：、？！])\1+", r"\1", text)


def _case(fact: Fact) -> str:
    return f"{fact.qualifier}：{worded(fact)}" if fact.qualifier is not None else worded(fact)

"""The grounding words: question → entity → attribute → facts → cited answer, as one conversation of three turns.

Training rows (construction) and grounded answers (inference) are both made here, so they are the same to the token. The
stages are those of knowledge-tuning (arXiv 2309.04175): the model names what the question
is about, then what it asks for; the knowledge base gives the facts; the model answers from them and cites them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bentsao.core.records import Evidence, Fact, Message

PARTS: dict[str, str] = {
    "instruction": "指令（L_it）",
    "entity": "实体（L_e）",
    "attribute": "属性（L_attr）",
    "answer": "依据资料的回答（L_r）",
}
"""The losses of knowledge-tuning, by `Message.part`."""

DEFAULT_PART = "instruction"
"""What a turn without a part counts as."""

NOTHING = "无"
"""What stands for no entity, or no attribute."""

_BETWEEN = "｜"
_ASK_ENTITY = "下面的问题问的是哪个医学名词？只写名词。"
_ASK_ATTRIBUTE = "问的是它的哪些方面？"
_ANSWER_FROM = "请只依据资料回答，并标明出处。"
_HISTORY_TURNS = 3


class Gap(NamedTuple):
    """What was looked up in vain: an entity that is not there (`attribute` None), or one without that attribute."""

    entity: str
    attribute: str | None = None


def ask_entity(question: str, history: Sequence[str] = ()) -> Message:
    """The first turn: which entities is the question about?

    history: what the person asked before, oldest first; the last three count.
    """
    earlier = "".join(f"上文：{_line(text)}\n" for text in history[-_HISTORY_TURNS:])
    return Message(role="user", content=f"{_ASK_ENTITY}\n{earlier}问题：{_line(question)}")


def ask_attribute() -> Message:
    """The second turn: which of their attributes does it ask for?"""
    return Message(role="user", content=_ASK_ATTRIBUTE)


def ask_answer(evidence: Sequence[Evidence], gaps: Sequence[Gap] = ()) -> Message:
    """The third turn: the facts, what was looked up in vain, and the request to answer from these alone."""
    lines = [f"{mark(item.number)} {fact_line(item.fact)}" for item in evidence]
    lines += [f"未查到：{_line(gap.entity)}" + (f"的{gap.attribute}" if gap.attribute else "") for gap in gaps]
    return Message(role="user", content="资料：\n" + "\n".join(lines) + f"\n{_ANSWER_FROM}")


def named(names: Sequence[str], part: str) -> Message:
    """The answer of the first or second turn: names, or 无 for none. part: "entity" or "attribute"."""
    return Message(role="assistant", content=_BETWEEN.join(_line(name) for name in names) or NOTHING, part=part)


def answered(text: str) -> Message:
    """The answer of the third turn."""
    return Message(role="assistant", content=text, part="answer")


def names_in(reply: str) -> tuple[str, ...]:
    """The names in a reply to the first or second turn, each once; empty for 无 and for an empty reply.

    Only the first line counts: a model that goes on talking has answered there.
    """
    first = reply.strip().split("\n", 1)[0]
    names = (name.strip(' 　。，,.;；：:“”"') for name in re.split(r"[｜|]", first))
    return tuple(dict.fromkeys(name for name in names if name and name != NOTHING))


def number_facts(facts: Sequence[Fact]) -> tuple[Evidence, ...]:
    """Facts as evidence, numbered from 1 `in_order`."""
    return tuple(Evidence(number=number, fact=fact) for number, fact in enumerate(in_order(facts), start=1))


def in_order(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Facts in the order of their numbers: by subject and attribute as these come, what holds always first.

    A value that another source says too, under the same condition, is kept at its first place only.
    """
    grouped: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        grouped.setdefault((fact.subject, fact.attribute), []).append(fact)
    return tuple(fact for group in grouped.values() for fact in _once(sorted(group, key=_is_conditional)))


def _is_conditional(fact: Fact) -> bool:
    return fact.qualifier is not None


def _once(facts: Iterable[Fact]) -> Iterator[Fact]:
    seen: set[tuple[str | None, str]] = set()
    for fact in facts:
        values = tuple(value for value in dict.fromkeys(fact.values) if (fact.qualifier, value) not in seen)
        seen |= {(fact.qualifier, value) for value in values}
        if values:
            yield fact if values == fact.values else fact.model_copy(update={"values": values})


def fact_line(fact: Fact) -> str:
    """One fact in a line: `偏头痛的药物治疗（预防发作）：氟桂利嗪；普萘洛尔`."""
    return f"{about(fact)}：{values_line(fact)}"


def about(fact: Fact) -> str:
    """What a fact is about: `偏头痛的药物治疗（预防发作）`."""
    condition = f"（{_line(fact.qualifier)}）" if fact.qualifier else ""
    return f"{_line(fact.subject)}的{fact.attribute}{condition}"


def values_line(fact: Fact) -> str:
    """The values of a fact in a line."""
    return "；".join(_line(value) for value in fact.values)


def mark(number: int) -> str:
    """The mark that cites evidence of this number."""
    return f"[{number}]"


def cited_numbers(text: str) -> tuple[int, ...]:
    """The numbers of the marks in a text, each once, in order."""
    return tuple(dict.fromkeys(int(number) for number in re.findall(r"\[(\d{1,4})\]", text)))


def without_marks(text: str) -> str:
    """The text without citation marks."""
    return re.sub(r"\[\d{1,4}\]", "", text)


def abstention(gaps: Sequence[Gap]) -> str:
    """The plain words of an answer that has no fact to stand on: what was looked for, and that nothing was found."""
    if not gaps:
        return "这个问题里没有找到知识库能查的疾病、药物或其他医学名词，所以不能回答。请说出具体的名称再问。"
    unknown = [gap.entity for gap in gaps if gap.attribute is None]
    parts = [f"知识库没有收录{_quoted(unknown)}"] if unknown else []
    for entity in dict.fromkeys(gap.entity for gap in gaps if gap.attribute is not None):
        attributes = "、".join(str(gap.attribute) for gap in gaps if gap.entity == entity and gap.attribute is not None)
        parts.append(f"知识库里没有{_quoted([entity])}的{attributes}")
    return "；".join(parts) + "。没有依据，我不能回答；请向医生或药师确认。"


def _quoted(names: Sequence[str]) -> str:
    return "、".join(f"“{_line(name)}”" for name in dict.fromkeys(names))


def _line(text: str) -> str:
    """On one line, and without citation marks (`[1]` becomes `［1］`): neither a question nor a value of the knowledge
    base can write lines or marks of its own into the prompt.
    """
    return re.sub(r"\[(\d+)\]", r"［\1］", " ".join(text.split()))

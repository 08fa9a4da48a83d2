"""Questions with yes or no (六味地黄丸能治痛风吗？): which fact they are about, on whatever side the base files it.

The words of such a question seldom say the attribute that holds the answer: 能治 asks for the drug's indications or for
the disease's medicines, 累及手部 for a part of the body. But the question names the value. Where the base has it of an
entity of the question, that fact is meant; to look elsewhere, and then to deny it, would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bentsao.core.records import Fact, Record
from bentsao.inference.grounded.premises import asks_whether
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.verify import Mentions


class Meant(Record):
    """The fact that a question asks after: its entity, by its own name and as the question calls it."""

    entity: str
    called: str
    attribute: str
    value: str


def meant(
    question: str,
    subjects: Mapping[str, Iterable[str]],
    facts_of: Callable[[str], Iterable[Fact]],
    known: Mentions,
    attributes: Sequence[str],
) -> Meant | None:
    """The fact of one of the subjects whose value the question says; None for open questions and where it is not clear.

    subjects: entities of the question, the likeliest first, each with all of its names. known: the base's names; where
    the question says one more than the entity's and the value's, something else is asked. attributes: those that the
    question seems to ask for, the likeliest first; of several facts theirs come first, then those with longer values.
    """
    if not asks_whether(question):
        return None
    text = normalise(question).text
    found: list[Meant] = []
    for entity, names in subjects.items():
        written = sorted({normalise(name).text for name in names} - {""}, key=len, reverse=True)
        called = next((name for name in written if name in text), "")
        rest = _without(text, written)
        for fact in facts_of(entity):
            for value in fact.values:
                said = normalise(value).text
                if value in ATTRIBUTES:
                    continue  # 药物治疗 is a value of 治疗方案 too, but is asked for as an attribute
                if called and len(said) > 1 and said in rest and _is_all(said, rest, known):
                    found.append(Meant(entity=entity, called=called, attribute=fact.attribute, value=value))
    order = {name: place for place, name in enumerate(attributes)}
    return min(found, key=lambda one: (order.get(one.attribute, len(order)), -len(one.value)), default=None)


def _is_all(value: str, text: str, known: Mentions) -> bool:
    """Whether the text names nothing but the value: no other name beside it, and none that it is only a part of."""
    named = [name for _, _, name in known.find(text)]
    return not any(known.find(_without(text, [value]))) and all(len(name) <= len(value) for name in named)


def _without(text: str, names: Iterable[str]) -> str:
    for name in names:
        text = text.replace(name, "\n")
    return text

"""Multiple choice from facts: the right option is the subject's value, the others are of others of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from bentsao.construction.composer import Tally
from bentsao.construction.forms.pen import Pen
from bentsao.construction.forms.premises import false_value, is_askable
from bentsao.construction.grammar import Grammar
from bentsao.construction.phrasing import listed
from bentsao.construction.shares import Split, pens, quotas
from bentsao.construction.subjects import Material, Subject, values_of
from bentsao.core.grounding import number_facts
from bentsao.core.records import Evidence, Made, Message, Record, Source
from bentsao.knowledge.schema import ATTRIBUTES

T = TypeVar("T")

_TRIES = 20
_LETTERS = "ABCDE"
_ONE = (
    "下列哪一项是{name}的{short}？",
    "关于{name}的{short}，下列各项中正确的是",
    "以下属于{name}的{short}的是",
    "{name}的{short}包括下列哪一项？",
)
_NOT = ("下列哪一项不是{name}的{short}？", "关于{name}的{short}，下列各项中不包括", "以下哪项不属于{name}的{short}？")
_MANY = ("下列哪些是{name}的{short}？（多选）", "{name}的{short}包括（多选）")


class Choice(Record):
    """One question of multiple choice, in the generic form: `options` by letter, `answer` the right letters together.

    `messages` hold the same as a conversation, so that it can be learnt from too.
    """

    id: str
    group: str
    question: str
    options: dict[str, str]
    answer: str
    messages: tuple[Message, ...]
    evidence: tuple[Evidence, ...]
    source: Source | None
    made: Made


def choices(
    material: Material,
    grammar: Grammar,
    rows: int,
    *,
    split: Split,
    seed: int,
    tally: Tally,
    accept: Callable[[Choice], T | None],
) -> Iterator[T]:
    """About `rows` questions over the material: which is, which is not (four options), which are (five options).

    accept: gives what is made of a question, or None where another one is to be made in its place.
    """
    pen_of = pens(material, grammar, f"{seed}:choice:{split}")
    number = 0
    for subject, quota in quotas(material, rows):
        pen = pen_of(subject.name)
        seen: set[tuple[str, str]] = set()
        made = 0
        for _ in range(4 * quota + _TRIES if quota else 0):
            if made == quota:
                break
            attribute = pen.rng.choice(sorted(subject.facts))
            found = _choice(subject, attribute, pen, f"choice-{split}-{number + 1:06d}", split)
            key = (found.question, "".join(sorted(found.options.values()))) if found else ("", "")
            if found is None or key in seen:
                continue
            seen.add(key)
            number += 1
            kept = accept(found)
            if kept is not None:
                made += 1
                yield kept
        if made < quota:
            tally.unfilled[f"选择题（{subject.kind}）"] += quota - made


def _choice(subject: Subject, attribute: str, pen: Pen, name: str, split: Split) -> Choice | None:
    if not ATTRIBUTES[attribute].many:
        return None  # a yes or a no, or one figure: there are no four of them to choose from
    right = [value for value in values_of(subject.facts[attribute]) if is_askable(value, attribute)]
    form = pen.rng.choices(("choice_one", "choice_not", "choice_many"), (6, 2, 2))[0]
    size = 5 if form == "choice_many" else 4
    wanted = {"choice_one": 1, "choice_not": 3, "choice_many": min(pen.rng.randint(2, 4), len(right))}[form]
    if len(right) < wanted or (form == "choice_many" and wanted < 2):
        return None
    true = pen.rng.sample(right, wanted)
    false = _distractors(subject, attribute, size - wanted, pen)
    if len(false) < size - wanted:
        return None
    options = [*true, *false]
    pen.rng.shuffle(options)
    correct = false if form == "choice_not" else true
    answer = "".join(letter for letter, option in zip(_LETTERS, options, strict=False) if option in correct)
    stems = {"choice_one": _ONE, "choice_not": _NOT, "choice_many": _MANY}[form]
    short = pen.rng.choice(pen.patterns(subject, attribute).short)
    question = pen.rng.choice(stems).format(name=subject.name, short=short)
    lettered = dict(zip(_LETTERS, options, strict=False))
    why = f"{subject.name}的{short}有{listed(right)}。"
    return Choice(
        id=name,
        group=subject.name,
        question=question,
        options=lettered,
        answer=answer,
        messages=(
            Message(role="user", content=question + "".join(f"\n{k}. {v}" for k, v in lettered.items())),
            Message(role="assistant", content=f"答案是{answer}。{why}", part="instruction"),
        ),
        evidence=number_facts(subject.facts[attribute]),
        source=subject.facts[attribute][0].source,
        made=Made(form=form, writer="composer", difficulty="medium", split=split),
    )


def _distractors(subject: Subject, attribute: str, count: int, pen: Pen) -> list[str]:
    found: list[str] = []
    for _ in range(6 * count):
        value = false_value(subject, attribute, pen)
        if value is None:
            break
        if value not in found:
            found.append(value)
        if len(found) == count:
            break
    return found

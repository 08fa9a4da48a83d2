"""Gold questions for `grounding.py`: about held-out entities in held-out patterns, or written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from pydantic import Field

from bentsao.construction.composer import Tally, compose, dialogues
from bentsao.construction.datasets import Order, premise_pairs
from bentsao.construction.exchanges import Exchange
from bentsao.construction.grammar import Grammar
from bentsao.construction.subjects import Material, Subject
from bentsao.core.grounding import in_order, without_marks
from bentsao.core.records import Conversation, Record
from bentsao.core.rows import RowError, read_rows
from bentsao.core.splits import NameFinder
from bentsao.evaluation.grounding import Gold
from bentsao.knowledge.store import KnowledgeBase

_KINDS = {
    "lay": "plain", "clinician": "plain", "exam": "plain", "vignette": "plain", "triage": "plain", "several": "several",
    "compare": "compare", "follow_up": "follow_up", "turn": "follow_up", "missing": "missing", "unknown": "unknown",
    "premise_true": "premise_true", "premise_false": "premise_false",
    "drug_true": "premise_true", "drug_false": "premise_false",
}  # fmt: skip
"""What each form of the composer is in the figures; what others ask about, no knowledge base says."""

_MIX = {
    "lay": 34, "clinician": 14, "exam": 8, "vignette": 14, "triage": 2, "several": 8, "compare": 4, "follow_up": 10,
    "turn": 2, "missing": 4,
}  # fmt: skip
_UNKNOWN = {"unknown": 1.0}


def composed(
    material: Material, grammar: Grammar, count: int, *, seed: int, limit: Callable[[Subject], bool]
) -> list[Gold]:
    """About `count` questions and `count` / 4 pairs of premises and `count` / 8 unknown names, about subjects within
    `limit`, in the patterns that are kept for testing.
    """
    part = material.part(limit)
    tally = Tally()
    exchanges = list(compose(part, grammar, _MIX, count, split="test", seed=seed, tally=tally))
    exchanges += compose(part, grammar, _UNKNOWN, max(count // 8, 1), split="test", seed=seed, tally=tally)
    questions = [_gold(exchange, f"t{number:04d}") for number, exchange in enumerate(exchanges, start=1)]
    return questions + premises(part, grammar, max(count // 4, 1), seed=seed)


def premises(material: Material, grammar: Grammar, count: int, *, seed: int) -> list[Gold]:
    """At most `count` pairs of a true and a false premise, the two sides one after the other."""
    order = Order(material, (), grammar, 2 * count, "test", seed, Tally())
    return [
        _gold(exchange, f"p{number:04d}{side}").model_copy(update={"pair": f"p{number:04d}"})
        for number, pair in enumerate(islice(premise_pairs(order), count), start=1)
        for exchange, side in zip(pair, "ab", strict=True)
    ]


class Turn(NamedTuple):
    """A question of a composed dialogue, with what was said before it: (question, answer), oldest first."""

    gold: Gold
    before: tuple[tuple[str, str], ...]
    answer: str


def turns(material: Material, grammar: Grammar, count: int, *, seed: int) -> list[Turn]:
    """The questions after the first of about `count` dialogues, each with all that came before it."""
    found: list[Turn] = []
    composed = dialogues(material, grammar, count, split="test", seed=seed, tally=Tally())
    for number, dialogue in enumerate(composed, start=1):
        said = [(one.question, without_marks(one.answer)) for one in dialogue]
        for place, exchange in enumerate(dialogue[1:], start=1):
            gold = _gold(exchange, f"d{number:04d}.{place + 1}")
            before = tuple(said[:place])
            gold = gold.model_copy(update={"history": tuple(question for question, _ in before)})
            found.append(Turn(gold, before, said[place][1]))
    return found


def by_hand(path: Path, kb: KnowledgeBase) -> list[Gold]:
    """Questions of a file of JSON lines: id, question, history, entities, attributes, also, class.

    Raises DataError with all faults of the file: names that the base does not have, attributes without a fact.
    """
    return read_rows(path, lambda _, row: _read(row, kb), key=lambda gold: gold.id)


def named_in(conversations: Sequence[Conversation], material: Material) -> set[str]:
    """The subjects that any training row names, in whatever place: own names."""
    finder = NameFinder(material.named)
    found: set[str] = set()
    for conversation in conversations:
        for message in conversation.messages:
            found |= {material.named[name].name for name in finder.find(message.content)}
    return found


def sample(questions: Sequence[Gold], count: int, seed: int) -> list[Gold]:
    """`count` of the questions at random, in their order; all where there are fewer. Pairs stay together."""
    pairs: dict[str, list[Gold]] = {}
    for question in questions:
        pairs.setdefault(question.pair or question.id, []).append(question)
    names = list(pairs)
    Random(seed).shuffle(names)
    chosen: set[str] = set()
    for name in names:
        if len(chosen) >= count:
            break
        chosen |= {question.id for question in pairs[name]}
    return [question for question in questions if question.id in chosen]


def as_kind(form: str) -> str | None:
    """What a form of the composer is in the figures; None for those that are not asked."""
    return _KINDS.get(form)


def _gold(exchange: Exchange, name: str) -> Gold:
    return Gold(
        id=name,
        question=exchange.question,
        kind=_KINDS[exchange.form],
        history=exchange.history,
        entities=exchange.subjects,
        attributes=exchange.attributes,
        facts=exchange.facts,
        value=exchange.value,
    )


_Kind = Literal[
    "plain", "several", "compare", "follow_up", "typo", "premise_true", "premise_false", "unknown", "missing"
]  # fmt: skip


class _ByHand(Record):
    """A line of a file of questions. typo: the name as it should be; asked, note: for those who read the file."""

    id: str
    question: str
    kind: _Kind = Field(alias="class")
    typo: str = ""
    asked: str = ""
    note: str = ""
    entities: tuple[str, ...]
    attributes: tuple[str, ...]
    history: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def _read(row: Any, kb: KnowledgeBase) -> Gold:
    asked = _ByHand.model_validate(row)
    facts = in_order(fact for entity in asked.entities for name in asked.attributes for fact in kb.facts(entity, name))
    if asked.kind in ("plain", "several", "follow_up", "typo") and not facts:
        raise RowError("entities/attributes", row, "知识库里没有这个实体的这个属性。")
    return Gold(**asked.model_dump(exclude={"typo", "asked", "note"}), facts=facts)

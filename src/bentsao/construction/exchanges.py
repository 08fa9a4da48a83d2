"""An exchange: one question with what it is about, the facts, and the answer. Every form makes these, and every kind of
data set is written from them.

Knows no grammar: what the words are is the forms' matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bentsao.core import grounding
from bentsao.core.grounding import Gap
from bentsao.core.records import Asked, Conversation, Evidence, Fact, Made, Message


@dataclass(frozen=True)
class Exchange:
    """A question and its answer.

    names: the entities as the question (or what was said before it) calls them; attributes: what it asks for.
    facts: what the answer stands on, in the order of its marks. gaps: what was looked up in vain.
    answer: with citation marks; for an exchange without facts, words that say so.
    subjects: own names of the entities; patterns: ids of the question patterns. history: earlier questions of the same
    person, oldest first. value: what a premise asserts.
    """

    form: str
    question: str
    names: tuple[str, ...]
    attributes: tuple[str, ...]
    facts: tuple[Fact, ...]
    answer: str
    subjects: tuple[str, ...]
    patterns: tuple[str, ...]
    difficulty: str = "easy"
    gaps: tuple[Gap, ...] = ()
    history: tuple[str, ...] = ()
    value: str = ""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The facts, numbered as the answer's marks are."""
        return grounding.number_facts(self.facts)

    @property
    def group(self) -> str:
        """What must stay on one side of a split: the first entity; for those without, its name or the question."""
        return (*self.subjects, *self.names, self.question)[0]

    @property
    def asked(self) -> Asked:
        """The question, with what is right about it."""
        return Asked(
            question=self.question,
            history=self.history,
            names=self.names,
            entities=self.subjects,
            attributes=self.attributes,
            value=self.value,
        )


def instruction(exchange: Exchange, closing: str = "") -> tuple[Message, Message]:
    """As a plain question and answer, without marks. closing: general words after the answer."""
    answer = grounding.without_marks(exchange.answer) + closing
    return (
        Message(role="user", content=exchange.question),
        Message(role="assistant", content=answer, part="instruction"),
    )


def grounded(exchange: Exchange) -> tuple[Message, ...]:
    """As the three turns of knowledge-tuning: entity, attribute, cited answer.

    Without an entity the first turn is all, and with nothing looked up the second: the rest is not the model's to say.
    """
    messages = [
        grounding.ask_entity(exchange.question, exchange.history),
        grounding.named(exchange.names, "entity"),
    ]
    if exchange.names:
        messages += [grounding.ask_attribute(), grounding.named(exchange.attributes, "attribute")]
    if exchange.facts or exchange.gaps:
        messages += [grounding.ask_answer(exchange.evidence, exchange.gaps), grounding.answered(exchange.answer)]
    return tuple(messages)


def row(exchange: Exchange, name: str, messages: Sequence[Message], split: str) -> Conversation:
    """The exchange as a row: its id, group, messages, evidence and how it was made."""
    return Conversation(
        id=name,
        group=exchange.group,
        messages=tuple(messages),
        evidence=exchange.evidence,
        source=exchange.facts[0].source if exchange.facts else None,
        made=Made(
            form=exchange.form,
            writer="composer",
            asked=exchange.asked,
            patterns=exchange.patterns,
            difficulty=exchange.difficulty,
            split=split,
        ),
    )

"""Rows to try the filters on, made in a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bentsao.construction.filtering import Refused, Tally, judged
from bentsao.construction.filters import FILTERS, Context
from bentsao.core import grounding
from bentsao.core.records import Conversation, Fact, Made, Message, Source

SOURCE = Source(name="测试", file="测试.json", row=3)

MIGRAINE = (
    Fact(subject="偏头痛", attribute="药物治疗", values=("布洛芬", "佐米曲普坦"), source=SOURCE),
    Fact(subject="偏头痛", attribute="临床症状及体征", values=("搏动性头痛", "恶心"), source=SOURCE),
)


def row(
    question: str, answer: str, *, name: str = "行", facts: Sequence[Fact] = (), made: Made | None = None
) -> Conversation:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Conversation(
        id=name, group="组", messages=messages, evidence=grounding.number_facts(facts), source=SOURCE, made=made
    )


def grounded(question: str, answer: str, facts: Sequence[Fact] = MIGRAINE, *, name: str = "据") -> Conversation:
    evidence = grounding.number_facts(facts)
    messages = (
        grounding.ask_entity(question),
        grounding.named(["偏头痛"], "entity"),
        grounding.ask_attribute(),
        grounding.named(["药物治疗"], "attribute"),
        grounding.ask_answer(evidence),
        grounding.answered(answer),
    )
    made = Made(form="grounded", writer="composer")
    return Conversation(id=name, group="组", messages=messages, evidence=evidence, source=SOURCE, made=made)


def dialogue(*said: str, name: str = "话") -> Conversation:
    messages = tuple(
        Message(role="assistant" if number % 2 else "user", content=text) for number, text in enumerate(said)
    )
    return Conversation(id=name, group="组", messages=messages)


@dataclass(frozen=True)
class Filtered:
    """The rows that passed, those that did not, and the figures."""

    kept: list[Conversation]
    refused: list[Refused]
    tally: Tally


def run_filters(
    conversations: Iterable[Conversation], names: Sequence[str] = tuple(FILTERS), context: Context | None = None
) -> Filtered:
    """All rows judged, in memory; see `judged` for what is done to each. context None: a fresh one."""
    done = Filtered([], [], Tally())
    for one in judged(conversations, names, context or Context()):
        done.tally.count(one)
        if isinstance(one, Conversation):
            done.kept.append(one)
        else:
            done.refused.append(one)
    return done

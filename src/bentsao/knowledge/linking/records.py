"""What linking finds."""

from __future__ import annotations

from typing import Literal

from bentsao.core.records import Record
from bentsao.knowledge.schema import Kind

Match = Literal["exact", "alias", "variant", "homophone", "misspelt", "history"]
"""How a name was recognised: the entity's own name, an alias, another way of writing one of these, written with
characters that sound alike, with a character wrong or missing, or named earlier in the conversation."""


class LinkedEntity(Record):
    """An entity that a question is about.

    `id`, `name`, `kind`: as in the knowledge base. `surface` is question[start:end]; an entity of the history has the
    surface "" at 0. `score` is from 0 to 1. `alternatives`: other entities that are called so too.
    """

    id: int
    name: str
    kind: Kind
    surface: str
    start: int
    end: int
    score: float
    match: Match
    alternatives: tuple[str, ...] = ()


class LinkedAttribute(Record):
    """An attribute that a question asks for, with a score from 0 to 1."""

    name: str
    score: float


class Linked(Record):
    """What a question is about, best first. Empty where it names no entity, or asks for no attribute.

    `ask_back`: names between which the question leaves open what is meant, to be put to the person.
    """

    entities: tuple[LinkedEntity, ...] = ()
    attributes: tuple[LinkedAttribute, ...] = ()
    ask_back: tuple[str, ...] = ()

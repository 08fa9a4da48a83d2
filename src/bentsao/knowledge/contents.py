"""Everything a knowledge base holds, one after the other: what checking, comparing and exporting go through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter

from bentsao.core.records import Fact
from bentsao.knowledge.database import connect_reader, explained
from bentsao.knowledge.rows import Alias
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.store import PASSAGE, Entity, KnowledgeBase, Passage, passage_of


def entities(kb: KnowledgeBase) -> Iterator[Entity]:
    """Every entity, by id."""
    sql = (
        "SELECT e.id, e.kind, t.text, n.type FROM entity e CROSS JOIN name n ON n.entity = e.id "
        "CROSS JOIN term t ON t.id = n.term ORDER BY e.id, n.type <> '', n.source, n.term"
    )
    with explained(kb.path), closing(connect_reader(kb.path)) as connection:
        for (number, kind), rows in groupby(connection.execute(sql), itemgetter(0, 1)):
            (_, _, name, _), *others = rows
            aliases = {text: Alias(text, type_) for _, _, text, type_ in others if text != name}
            yield Entity(id=number, name=name, kind=kind, aliases=tuple(aliases.values()))


def passages(kb: KnowledgeBase) -> Iterator[Passage]:
    """Every piece of literature, by id."""
    with explained(kb.path), closing(connect_reader(kb.path)) as connection:
        yield from map(passage_of, connection.execute(f"{PASSAGE} ORDER BY p.id"))


def pointing(kb: KnowledgeBase, names: Iterable[str]) -> dict[str, list[Entity]]:
    """Who has one of these names as a value: attribute → entities. Only attributes whose values name things count."""
    names = tuple(names)
    found: dict[str, list[Entity]] = {}
    for attribute in (name for name, known in ATTRIBUTES.items() if known.values is not None):
        subjects = {subject.id: subject for name in names for subject in kb.subjects(attribute, name)}
        if subjects:
            found[attribute] = list(subjects.values())
    return found


def names_of(entity: Entity) -> tuple[str, ...]:
    """All names of an entity, its own first."""
    return (entity.name, *(alias.text for alias in entity.aliases))


def cited(fact: Fact) -> str:
    """Where a fact comes from, in a few words: `39健康网 disease.csv:3`."""
    source = fact.source
    place = source.file + ("" if source.row is None else f":{source.row}")
    return " ".join(part for part in (source.name, place) if part)


def citations(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Where several facts come from, each place once."""
    return tuple(dict.fromkeys(cited(fact) for fact in facts))

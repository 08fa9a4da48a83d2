"""Two knowledge bases side by side: what one has and the other has not.

Entities are the same by name and kind, facts by subject, attribute and condition, passages by identifier or title.
Which source says it does not matter here; a fact is compared by its values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from bentsao.core.records import Record
from bentsao.knowledge import contents
from bentsao.knowledge.schema import Kind
from bentsao.knowledge.store import Entity, KnowledgeBase

What = Literal["entity", "alias", "fact", "passage"]


class Change(Record):
    """One thing that differs. `before` and `after`: its values in each; empty where it is not there at all.

    `what` "entity": values are its name; "alias": all its other names; "passage": its text. `kind` is None for
    passages, `attribute` and `qualifier` for all but facts; `qualifier` None on a fact: it always holds.
    `sources`: who says so, in the second knowledge base, or in the first where it is gone.
    """

    what: What
    change: Literal["added", "gone", "changed"]
    subject: str
    kind: Kind | None = None
    attribute: str | None = None
    qualifier: str | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


_Key = tuple[What, str | None, str | None]
_Statements = dict[_Key, list[tuple[str, str]]]


def compare(before: KnowledgeBase, after: KnowledgeBase) -> Iterator[Change]:
    """All changes from one knowledge base to the other: entity by entity, in the order of their names, then passages.

    The order of values does not matter. Holds the names of both in memory, the facts of one entity at a time.
    """
    old, new = ({(entity.name, entity.kind): entity for entity in contents.entities(kb)} for kb in (before, after))
    for key in sorted(old.keys() | new.keys()):
        one, other = old.get(key), new.get(key)
        yield from _compare_entity(other or old[key], _statements(before, one), _statements(after, other))
    yield from _compare_passages(before, after)


def _compare_entity(subject: Entity, old: _Statements, new: _Statements) -> Iterator[Change]:
    for key in dict.fromkeys([*old, *new]):
        before, after = (tuple(dict.fromkeys(value for value, _ in there.get(key, ()))) for there in (old, new))
        if set(before) != set(after):
            what, attribute, qualifier = key
            yield Change(
                what=what,
                change=_change(before, after),
                subject=subject.name,
                kind=subject.kind,
                attribute=attribute,
                qualifier=qualifier,
                before=before,
                after=after,
                sources=tuple(dict.fromkeys(source for _, source in new.get(key) or old[key] if source)),
            )


def _statements(kb: KnowledgeBase, entity: Entity | None) -> _Statements:
    """What a knowledge base says of an entity: (what, attribute, qualifier) → its values, each with who says so."""
    told: _Statements = {}
    if entity is not None:
        told["entity", None, None] = [(entity.name, "")]
        told["alias", None, None] = [(alias.text, "") for alias in entity.aliases]
        for fact in kb.facts(entity.id):
            key: _Key = ("fact", fact.attribute, fact.qualifier)
            told.setdefault(key, []).extend((value, contents.cited(fact)) for value in fact.values)
    return told


def _compare_passages(before: KnowledgeBase, after: KnowledgeBase) -> Iterator[Change]:
    old, new = (
        {passage.identifier or passage.title: passage for passage in contents.passages(kb)} for kb in (before, after)
    )
    for key in sorted(old.keys() | new.keys()):
        texts = tuple((there[key].text,) if key in there else () for there in (old, new))
        if texts[0] != texts[1]:
            passage = new.get(key) or old[key]
            yield Change(
                what="passage",
                change=_change(*texts),
                subject=passage.title,
                before=texts[0],
                after=texts[1],
                sources=(passage.source.name,),
            )


def _change(before: Sequence[str], after: Sequence[str]) -> Literal["added", "gone", "changed"]:
    return "added" if not before else "gone" if not after else "changed"

"""The names and values of one knowledge base, to be found in texts. Each list is made when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from bentsao.knowledge.contents import names_of
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.verify import KnownNames

_NAMED_KINDS = frozenset({"disease", "drug", "operation", "symptom", "examination"})
"""Kinds whose names an answer may not bring in without a fact. Parts of the body are in every sentence."""

_TREATMENTS = frozenset({"drug", "operation"})
"""Kinds of what 治疗方案 may name, whose values are of no one kind."""

_LONGEST_NAME = 16
"""Characters of a value that may be a name; longer ones are sentences, which no answer says by chance."""


class Vocabulary:
    """What one knowledge base calls things."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._kb = kb
        self._all: KnownNames | None = None
        self._values: dict[str, KnownNames] = {}
        self._likely: dict[str, KnownNames] = {}

    def names(self) -> KnownNames:
        """What an answer may not bring in without a fact: the base's names, and the values that name things."""
        if self._all is None:
            self._all = KnownNames(self._of_kinds(_NAMED_KINDS))
        return self._all

    def values(self, attribute: str) -> KnownNames:
        """All values of an attribute, of whatever entity."""
        if attribute not in self._values:
            self._values[attribute] = KnownNames(self._values_of([attribute]))
        return self._values[attribute]

    def likely(self, attribute: str) -> KnownNames:
        """All names of the kind of thing that the attribute's values name; nothing where they are of no kind."""
        if attribute not in self._likely:
            kind = ATTRIBUTES[attribute].values if attribute in ATTRIBUTES else None
            kinds = _TREATMENTS if attribute == "治疗方案" else _NAMED_KINDS & {kind}
            self._likely[attribute] = KnownNames(self._of_kinds(kinds))
        return self._likely[attribute]

    def called(self, name: str) -> tuple[str, ...]:
        """All names of the entity with this name; nothing where there is none."""
        entity = self._kb.entity(name)
        return names_of(entity) if entity else ()

    def _of_kinds(self, kinds: frozenset[str]) -> Iterator[str]:
        naming = [
            name
            for name, attribute in ATTRIBUTES.items()
            if attribute.values in kinds and attribute.polarity == "for"  # 禁忌证 names groups of people too
        ]
        return chain(self._values_of(naming), (text for text, _, kind, _ in self._kb.names() if kind in kinds))

    def _values_of(self, attributes: list[str]) -> Iterator[str]:
        return (value for value in self._kb.values(attributes) if len(value) <= _LONGEST_NAME)

"""The knowledge base on the page: searched, listed by kind a page at a time, and one entity's card."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from bentsao.apps.page.views import card_html, hits_html
from bentsao.knowledge.contents import names_of, pointing
from bentsao.knowledge.schema import KINDS, Kind
from bentsao.knowledge.store import Entity, KnowledgeBase

PAGE = 30
"""Entities on a page of the list."""

LONGEST_SEARCH = 60
"""Characters that are searched for."""


Choice = tuple[str, str]
"""What stands in a list to choose from: what is shown, and the entity's name."""


class Shelf:
    """A knowledge base for readers."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._kb = kb
        self._listed = lru_cache(maxsize=2)(self._by_kind)

    def kinds(self) -> list[tuple[str, Kind]]:
        """The kinds of entities that are there, with their numbers."""
        found = self._listed(self._kb.version)
        return [(f"{label}（{len(found[kind])}）", kind) for kind, label in KINDS.items() if kind in found]

    def search(self, text: str) -> tuple[list[Choice], str]:
        """Entities to choose from, and the facts and literature found as HTML."""
        text = text.strip()[:LONGEST_SEARCH]
        if not text:
            return [], ""
        hits = self._kb.search(text, limit=30)
        entities = [hit.entity for hit in hits if hit.entity is not None]
        others = hits_html([hit for hit in hits if hit.entity is None])
        nothing = "" if hits else "<p>没有找到。换一个说法，或在下面按类别浏览。</p>"
        return _choices(entities), others or nothing

    def page(self, kind: Kind, number: int) -> tuple[list[Choice], int, int]:
        """The entities of a kind on a page (from 1), the page that this is, and how many there are."""
        names = self._listed(self._kb.version).get(kind, [])
        pages = max(1, -(-len(names) // PAGE))
        number = min(max(1, number), pages)
        return [(name, name) for name in names[(number - 1) * PAGE : number * PAGE]], number, pages

    def card(self, name: str) -> str:
        """What is known of all entities of this name, as HTML; empty where there is none."""
        cards = [
            card_html(entity, self._kb.facts(entity.id), pointing(self._kb, names_of(entity)))
            for entity in self._kb.entities(name)
        ]
        return "".join(cards)

    def _by_kind(self, _version: str) -> dict[Kind, list[str]]:
        found: dict[Kind, list[str]] = {}
        for text, _, kind, own in self._kb.names():
            if own:
                found.setdefault(kind, []).append(text)
        return {kind: sorted(set(names)) for kind, names in found.items()}


def _choices(entities: Sequence[Entity]) -> list[Choice]:
    found = {entity.name: f"{entity.name}（{KINDS[entity.kind]}）" for entity in reversed(entities)}
    return [(shown, name) for name, shown in reversed(found.items())]

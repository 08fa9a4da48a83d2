"""The filters in a build: each row is judged as it is made, so that another can be made in its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, TypeVar

from bentsao.construction.choice import Choice
from bentsao.construction.filtering import Refused, Tally, judged
from bentsao.construction.filters import Context
from bentsao.construction.subjects import Material
from bentsao.construction.texts import texts
from bentsao.core.records import Conversation

Row = Conversation | Choice
R = TypeVar("R", bound=Row)

_REMEMBERED = 5_000
"""Rows that are looked through for near copies; more only until the group ends.

Copies are looked for among rows about the same facts, which come one after another: nothing is missed, and the memory
does not grow with the rows.
"""


@dataclass
class Sieve:
    """Judges rows by the filters of these names; none: everything passes. What does not is written to `refused`."""

    material: Material
    names: tuple[str, ...]
    refused: IO[str] | None = None
    tally: Tally = field(default_factory=Tally)
    _context: Context | None = None
    _group: str = ""

    def judge(self, rows: Sequence[R]) -> list[R] | None:
        """Rows that belong together (a pair, or one alone) as they are kept: with the filters passed. None: refused."""
        if not self.names:
            return list(rows)
        kept: list[R] = []
        for row in rows:
            conversation = as_conversation(row)
            one = next(judged([conversation], self._names_for(conversation), self._context_for(conversation)))
            if isinstance(one, Refused):
                self.tally.count(one)
                if self.refused is not None:
                    self.refused.write(json.dumps(one.model_dump(mode="json"), ensure_ascii=False) + "\n")
                return None
            kept.append(row.model_copy(update={"made": one.made}))
        for row in kept:
            self.tally.count(as_conversation(row))
        return kept

    def _names_for(self, row: Conversation) -> tuple[str, ...]:
        """A grounded row that ends with what is not named (无) has no answer that could be too short."""
        return self.names if texts(row).answers else tuple(name for name in self.names if name != "short")

    def _context_for(self, row: Conversation) -> Context:
        if self._context is None or (len(self._context.rows) > _REMEMBERED and row.group != self._group):
            self._context = Context(aliases=self.material.aliases)
        self._group = row.group
        return self._context


def as_conversation(row: Row) -> Conversation:
    """A row as filters and figures look at it: a multiple choice is a question and an answer too."""
    if isinstance(row, Conversation):
        return row
    return Conversation(
        id=row.id, group=row.group, messages=row.messages, evidence=row.evidence, source=row.source, made=row.made
    )

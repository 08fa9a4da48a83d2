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
        """Rows that belong together (a pair, or one alone) as they are kept: with the filters passed.

        None: refused, all of them; those that passed go with those that did not, and are not remembered.
        """
        if not self.names:
            return list(rows)
        whole = list(map(as_conversation, rows))
        context = self._context_for(whole[0].group)
        before = context.size
        found = [one for row in whole for one in judged([row], self._names_for(row), context)]
        bad = next((one for one in found if isinstance(one, Refused)), None)
        if bad is not None:
            context.forget(before)
            found = [one if isinstance(one, Refused) else _along_with(bad, one) for one in found]
        for one in found:
            self.tally.count(one)
            if isinstance(one, Refused) and self.refused is not None:
                self.refused.write(json.dumps(one.model_dump(mode="json"), ensure_ascii=False) + "\n")
        made = [one.made for one in found if isinstance(one, Conversation)]
        return [row.model_copy(update={"made": each}) for row, each in zip(rows, made, strict=True)] if made else None

    def _names_for(self, row: Conversation) -> tuple[str, ...]:
        """A grounded row that ends with what is not named (无) has no answer that could be too short."""
        return self.names if texts(row).answers else tuple(name for name in self.names if name != "short")

    def _context_for(self, group: str) -> Context:
        if self._context is None or (len(self._context.rows) > _REMEMBERED and group != self._group):
            self._context = Context(aliases=self.material.aliases)
        self._group = group
        return self._context


def _along_with(bad: Refused, row: Conversation) -> Refused:
    return Refused(reasons={name: f"同组的另一行不合格：{why}" for name, why in bad.reasons.items()}, row=row)


def as_conversation(row: Row) -> Conversation:
    """A row as filters and figures look at it: a multiple choice is a question and an answer too."""
    if isinstance(row, Conversation):
        return row
    return Conversation(
        id=row.id, group=row.group, messages=row.messages, evidence=row.evidence, source=row.source, made=row.made
    )

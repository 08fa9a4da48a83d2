"""One entity in the making: what a row says about it, and what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bentsao.knowledge.importers import values
from bentsao.knowledge.rows import Alias, AliasType, EntityRow, FactRow, Skipped
from bentsao.knowledge.schema import Kind


class Draft:
    """Gathers names and facts of one row. `row` counts from 1; `rows()` gives the entity and what was left out."""

    def __init__(self, name: str, kind: Kind, row: int) -> None:
        self.name = values.tidy(name)
        self.kind: Kind = kind
        self.row = row
        self._aliases: dict[str, Alias] = {}
        self._facts: dict[FactRow, None] = {}
        self._skipped: list[Skipped] = []

    def alias(self, text: str, alias_type: AliasType | None = None) -> None:
        """Another name of the entity. alias_type None: English where it is written in Latin letters, else a synonym."""
        text = values.tidy(text)
        if reason := values.why_not(text, name=True):
            self.leave_out(reason, text)
        elif text != self.name and text not in self._aliases:
            self._aliases[text] = Alias(text, alias_type or ("english" if values.is_latin(text) else "synonym"))

    def fact(self, attribute: str, text: str, qualifier: str | None = None) -> bool:
        """One value of an attribute of the schema; whether it got in. qualifier None or blank: it always holds."""
        text, condition = values.tidy(text), values.tidy(qualifier or "")
        reason = values.why_not(text, running=attribute in values.TEXT_ATTRIBUTES)
        if reason is None and condition and (unfit := values.why_not(condition, running=True)):
            reason = f"限定：{unfit}"  # without its condition the value would not be true
        fact = FactRow(attribute, text, condition or None)
        if reason is None and fact in self._facts:
            reason = values.REPEATED
        if reason is None:
            self._facts[fact] = None
        else:
            self.leave_out(reason, text)
        return reason is None

    def facts(self, attribute: str, texts: Iterable[str], qualifier: str | None = None) -> None:
        """Several values of one attribute."""
        for text in texts:
            self.fact(attribute, text, qualifier)

    def leave_out(self, reason: str, value: object) -> None:
        """Something of this row that does not get in."""
        self._skipped.append(Skipped(reason, _shown(value), self.row))

    def rows(self) -> Iterator[EntityRow | Skipped]:
        """What the row gives. An entity without a proper name gives only the reason."""
        if reason := values.why_not(self.name, name=True):
            yield Skipped(f"名称：{reason}", _shown(self.name), self.row)
            return
        yield EntityRow(self.name, self.kind, tuple(self._aliases.values()), tuple(self._facts), self.row)
        yield from self._skipped


def _shown(value: object) -> str:
    """The value for a report: printable, and short enough for a line."""
    text = value if isinstance(value, str) else repr(value)
    return "".join(c if c.isprintable() else "�" for c in text)[:200]

"""What the beginning of a file shows, by which a reader is chosen for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bentsao.core.errors import DataError, Fault
from bentsao.core.files import iterate_json
from bentsao.knowledge.importers.tables import first_rows
from bentsao.knowledge.rows import Row


@dataclass(frozen=True)
class Look:
    """A look into a file.

    names: the fields of the first object or the columns of the table, without blanks at the edges, in small letters.
    table: whether it is one (CSV, TSV). texts: whether its rows are bare texts. second: the cells of a table's second
    row, empty where there is none. line: the number of its header, 1 where it is no table.
    """

    names: tuple[str, ...]
    table: bool
    texts: bool = False
    second: tuple[str, ...] = ()
    line: int = 1

    def has(self, *names: str) -> bool:
        """Whether all of these are there."""
        return set(names) <= set(self.names)

    def has_any(self, names: Mapping[str, object] | set[str]) -> bool:
        """Whether one of these is there."""
        return not set(names).isdisjoint(self.names)


@dataclass(frozen=True)
class Reader:
    """A reader: what it makes of a file, and whether it knows a file by a look into it.

    mapped: reads a file whose columns are named otherwise, role → column; None: it cannot.
    """

    read: Callable[[Path], Iterator[Row]]
    knows: Callable[[Look], bool]
    mapped: Callable[[Path, Mapping[str, str]], Iterator[Row]] | None = None


def look_into(path: Path) -> Look:
    """A look into a file. Raises DataError where nothing of it can be read, MissingError if there is none."""
    if path.suffix.lower() not in {".json", ".jsonl"}:
        rows = first_rows(path)
        if not rows:
            raise DataError([Fault(str(path), 1, "文件", "", "这是空文件。")])
        (line, header), *others = rows
        return Look(_folded(header), table=True, second=tuple(others[0][1]) if others else (), line=line)
    faults: list[Fault] = []
    for _, row in iterate_json(path):
        if not isinstance(row, Fault):
            names = _folded(list(row)) if isinstance(row, dict) else ()
            return Look(names, table=False, texts=isinstance(row, str))
        faults.append(row)
    if faults:
        raise DataError(faults)
    return Look((), table=False)


def _folded(names: list[str]) -> tuple[str, ...]:
    return tuple(name.strip().casefold() for name in names)

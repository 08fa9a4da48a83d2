"""Rows of a file made into what they mean, with every fault of the file told at once.

Knows nothing of what a row means: that is the reader's, who gives a function for one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bentsao.core.complaints import complaints
from bentsao.core.errors import DataError, Fault
from bentsao.core.files import Place, iterate_json

T = TypeVar("T")


class RowError(Exception):
    """What is wrong with one row: the field, its value, and why. others: what is wrong with it besides."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(reason)
        self.field, self.value, self.reason = field, value, reason
        self.others: tuple[RowError, ...] = ()


def read_rows(
    path: Path, take: Callable[[Place, Any], T], *, key: Callable[[T], str] | None = None, nothing: str = ""
) -> list[T]:
    """What `take` makes of each row of a file of JSON or JSON lines.

    nothing: what to say of a file without any row; "" where that is no fault. The rest, and errors, as `take_rows`;
    MissingError if there is no file.
    """
    found = take_rows(iterate_json(path), take, key=key)
    if nothing and not found:
        raise DataError([Fault(str(path), None, "行", "", nothing)])
    return found


def take_rows(
    rows: Iterable[tuple[Place, Any | Fault]],
    take: Callable[[Place, Any], T],
    *,
    key: Callable[[T], str] | None = None,
) -> list[T]:
    """What `take` makes of each row, which may come from several files.

    take: raises RowError, or pydantic's ValidationError, for a row that it cannot use. key: the id that no two rows
    may share; None where they may. Raises DataError with the faults of all rows.
    """
    found: list[T] = []
    faults: list[Fault] = []
    first: dict[str, Place] = {}
    for place, row in rows:
        if isinstance(row, Fault):
            faults.append(row)
            continue
        try:
            one = take(place, row)
        except RowError as error:
            faults += [place.fault(one.field, one.value, one.reason) for one in (error, *error.others)]
            continue
        except ValidationError as error:
            faults += [place.fault(*complaint) for complaint in complaints(error)]
            continue
        found.append(one)
        if key is not None and (before := first.setdefault(key(one), place)) is not place:
            faults.append(place.fault("id", key(one), f"与{_named(before, place)}重复。"))
    if faults:
        raise DataError(faults)
    return found


def _named(before: Place, place: Place) -> str:
    where = f"第 {before.row} {'行' if before.item is None else '项'}"
    return where if before.file == place.file else f"{before.file} 的{where}"

"""Files of JSON objects: each goes to a reader's function; whatever is wrong is gathered and raised at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from bentsao.core.errors import DataError, Fault
from bentsao.core.files import iterate_json
from bentsao.core.rows import RowError

Row = TypeVar("Row")


def read_objects(path: Path, take: Callable[[dict[str, Any], int], Iterator[Row]]) -> Iterator[Row]:
    """What `take` makes of each object and its row number.

    Raises DataError after the last row with all rows that are no objects or that `take` refused with a RowError;
    whoever stores rows must therefore store all or none.
    """
    faults: list[Fault] = []
    for place, row in iterate_json(path):
        if isinstance(row, Fault):
            faults.append(row)
        elif not isinstance(row, dict):
            faults.append(place.fault("行", row, "应是一个 JSON 对象。"))
        else:
            try:
                yield from take(row, place.row)
            except RowError as error:
                faults.append(place.fault(error.field, error.value, error.reason))
    if faults:
        raise DataError(faults)


def required_text(row: dict[str, Any], key: str) -> str:
    """The text under a key that must be there."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise RowError(key, value, "应是非空字符串。" if key in row else "缺少这个字段。")
    return value


def texts(row: dict[str, Any], key: str) -> list[str]:
    """The texts under a key: a string, or an array of strings; empty where there is none."""
    value = row.get(key)
    items = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(item, str) for item in items):
        raise RowError(key, value, "应是字符串或字符串的数组。")
    return items

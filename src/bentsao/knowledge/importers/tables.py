"""Rows of CSV and TSV files, with the row number a spreadsheet shows (the header is row 1)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bentsao.core.cells import from_cell
from bentsao.core.errors import DataError, Fault
from bentsao.core.files import read_text


def iterate_table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its number. Tabs separate if the first line has more tabs than commas.

    Raises DataError where the file is no table, at its end with all cells that seem to have swallowed rows, and
    MissingError if there is none.
    """
    text = read_text(path)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if first.count("\t") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    number, width, faults = 0, 0, list[Fault]()
    while True:
        number += 1
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            if faults:
                raise DataError(faults) from None
            return
        except csv.Error as error:
            fault = Fault(str(path), reader.line_num, "CSV", "", f"不是合法的表格：{error}。请另存为 UTF-8 的 CSV。")
            raise DataError([fault]) from None
        width = width or len(row)
        if swallowed := next((cell for cell in row if _has_rows(cell, delimiter, width)), None):
            lines = f"第 {line} 行到第 {reader.line_num} 行"
            reason = f"引号没有配对：{lines}成了一格，把别的行也吞了进去。请检查这些行的引号。"
            faults.append(Fault(str(path), number, "CSV", swallowed[:40], reason))
        elif any(cell.strip() for cell in row):
            yield number, [from_cell(cell) for cell in row]


def _has_rows(cell: str, delimiter: str, width: int) -> bool:
    """Whether a line of the cell, but the first, looks like a row of a table with so many columns."""
    return any(0 < width - 1 <= 2 * line.count(delimiter) for line in cell.splitlines()[1:])


def first_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The first two rows that are not blank, with their numbers; fewer if there are no more."""
    return list(islice(iterate_table(path), 2))

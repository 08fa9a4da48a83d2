"""Rows of CSV and TSV files, with the row number a spreadsheet shows (the header is row 1)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from bentsao.core.cells import from_cell
from bentsao.core.errors import DataError, Fault
from bentsao.core.files import read_text


def iterate_table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its number. Tabs separate if the first line has more tabs than commas.

    Raises DataError where the file is no table, MissingError if there is none.
    """
    text = read_text(path)
    first = text.split("\n", 1)[0]
    delimiter = "\t" if first.count("\t") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    number = 0
    while True:
        number += 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = Fault(str(path), reader.line_num, "CSV", "", f"不是合法的表格：{error}。请另存为 UTF-8 的 CSV。")
            raise DataError([fault]) from None
        if any(cell.strip() for cell in row):
            yield number, [from_cell(cell) for cell in row]


def header_of(path: Path) -> list[str]:
    """The cells of the first row that is not blank, trimmed; empty if there is none."""
    return next(([cell.strip() for cell in row] for _, row in iterate_table(path)), [])

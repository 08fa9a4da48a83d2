"""Readers of foreign files. Each is one module with `read(path) -> Iterator[Row]`; `READERS` is the list.

A reader maps what it can onto the schema, gives a `Skipped` with its reason for everything else, and raises DataError
with all faults of a file that is not of its form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bentsao.core.errors import DataError, Fault
from bentsao.core.files import iterate_json
from bentsao.knowledge.importers import (
    cmeie,
    cmekg,
    disease_csv,
    drug_text,
    literature,
    medical_json,
    tables,
    triples,
)
from bentsao.knowledge.rows import Row

Reader = Callable[[Path], Iterator[Row]]

READERS: dict[str, Reader] = {
    "cmekg": cmekg.read,
    "disease_csv": disease_csv.read,
    "drug_text": drug_text.read,
    "cmeie": cmeie.read,
    "medical_json": medical_json.read,
    "literature": literature.read,
    "triples": triples.read,
}
"""The readers by name."""


def detect(path: Path) -> str:
    """The reader for a file, told by its first row.

    Raises DataError if no reader knows it, MissingError if there is no file.
    """
    name = _by_first_object(path) if path.suffix.lower() in {".json", ".jsonl"} else _by_header(path)
    if name is None:
        reason = f"认不出这个文件的格式。请用 --format 指定：{'、'.join(READERS)}。"
        raise DataError([Fault(str(path), 1, "格式", path.name, reason)])
    return name


def _by_first_object(path: Path) -> str | None:
    first: Any = next((row for _, row in iterate_json(path) if not isinstance(row, Fault)), None)
    if isinstance(first, str):
        return "drug_text"
    if not isinstance(first, dict):
        return None
    return _by_names(list(first))


def _by_header(path: Path) -> str | None:
    header = tables.header_of(path)
    return _by_names(header) or ("triples" if len(header) == 3 else None)


def _by_names(names: list[str]) -> str | None:
    """By the names of fields or columns; those that only one form has come first."""
    folded = {name.strip().casefold() for name in names}
    if cmekg.NAME in folded and not folded >= {"属性", "值"}:
        return "cmekg"
    if "spo_list" in folded:
        return "cmeie"
    if {"name"} < folded and folded & set(medical_json.FIELDS) - set(disease_csv.COLUMNS):
        return "medical_json"
    if {"name"} < folded and folded & set(disease_csv.COLUMNS):
        return "disease_csv"
    if {"subject", "attribute", "value"} <= set(triples.places(names)):
        return "triples"
    if all(folded & set(literature.FIELDS[field]) for field in ("title", "text")):
        return "literature"
    return None

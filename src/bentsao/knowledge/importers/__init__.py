"""Readers of foreign files. Each is one module with `read(path)` and `knows(look)`; `READERS` is the list.

A reader maps what it can onto the schema, gives a `Skipped` with its reason for everything else, and raises DataError
with all faults of a file that is not of its form.
"""

from __future__ import annotations

from pathlib import Path

from bentsao.core.errors import DataError, Fault
from bentsao.knowledge.importers import (
    cmeie,
    cmekg,
    disease_csv,
    drug_text,
    literature,
    medical_json,
    triples,
    wide_table,
)
from bentsao.knowledge.importers.looking import Reader, look_into

READERS: dict[str, Reader] = {
    "cmekg": Reader(cmekg.read, cmekg.knows),
    "drug_text": Reader(drug_text.read, drug_text.knows),
    "cmeie": Reader(cmeie.read, cmeie.knows),
    "medical_json": Reader(medical_json.read, medical_json.knows),
    "disease_csv": Reader(disease_csv.read, disease_csv.knows),
    "literature": Reader(literature.read, literature.knows),
    "table": Reader(wide_table.read, wide_table.knows, wide_table.read),
    "triples": Reader(triples.read, triples.knows, triples.read),
}
"""The readers by name; a file is read by the first that knows it."""


def detect(path: Path) -> str:
    """The reader for a file. Raises DataError if no reader knows it, MissingError if there is no file."""
    look = look_into(path)
    name = next((name for name, reader in READERS.items() if reader.knows(look)), None)
    if name is None:
        shown = "、".join(look.names) or path.name
        reason = f"认不出这个文件的格式。请用 --reader 指定读取方式（{'、'.join(READERS)}），或"
        if look.table:
            reason += "用 --columns 指明各列（如 名称=病种,症状=主诉）。"
        else:
            reason += "把它摊平成 CSV（一行一个实体，一列一个属性）。"
        raise DataError([Fault(str(path), look.line, "表头" if look.table else "字段", shown, reason)])
    return name

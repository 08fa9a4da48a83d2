"""Reader of literature: a JSON array, JSON lines or a table, one conclusion a row with where it was published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bentsao.core.errors import DataError, Fault
from bentsao.core.rows import RowError
from bentsao.knowledge.importers import values
from bentsao.knowledge.importers.looking import Look
from bentsao.knowledge.importers.objects import read_objects
from bentsao.knowledge.importers.tables import iterate_table
from bentsao.knowledge.rows import PassageRow, Skipped

FIELDS: dict[str, tuple[str, ...]] = {
    "title": ("标题", "题名", "title"),
    "text": ("结论", "摘要", "正文", "conclusion", "abstract", "text"),
    "keywords": ("关键词", "keywords"),
    "journal": ("期刊", "来源", "journal"),
    "year": ("年份", "年", "year"),
    "locator": ("卷期页", "locator", "volume"),
    "identifier": ("标识", "doi", "pmid", "identifier"),
}
"""What a row may hold, and what the fields are called. Title and text must be there."""

PASSAGE_LIMIT = 4000
"""The longest text of a passage, in characters."""


def knows(look: Look) -> bool:
    """Title and text, whatever they are called."""
    return all(look.has_any(set(FIELDS[field])) for field in ("title", "text"))


def read(path: Path) -> Iterator[PassageRow | Skipped]:
    """One passage a row. Raises DataError at the end with all rows that lack title or text or have no proper year."""
    if path.suffix.lower() in {".csv", ".tsv"}:
        yield from _table(path)
    else:
        yield from read_objects(path, _passage)


def _table(path: Path) -> Iterator[PassageRow | Skipped]:
    table = iterate_table(path)
    header = [cell.strip() for cell in next(table, (1, []))[1]]
    faults: list[Fault] = []
    for number, row in table:
        try:
            yield from _passage(dict(zip(header, row, strict=False)), number)
        except RowError as error:
            faults.append(Fault(str(path), number, error.field, error.value, error.reason))
    if faults:
        raise DataError(faults)


def _passage(row: dict[str, Any], number: int) -> Iterator[PassageRow | Skipped]:
    known = {key.strip().casefold(): value for key, value in row.items()}
    found = {field: next((known[name] for name in names if known.get(name)), None) for field, names in FIELDS.items()}
    for key in sorted(set(known) - {name for names in FIELDS.values() for name in names} - {"id"}):
        yield Skipped(values.UNMAPPED + key[:20], str(known[key])[:200], number)
    passage = PassageRow(
        title=_text(found, "title", needed=True),
        text=_text(found, "text", needed=True),
        keywords=tuple(_keywords(found["keywords"])),
        journal=_text(found, "journal"),
        year=_year(found["year"]),
        locator=_text(found, "locator"),
        identifier=_text(found, "identifier"),
        row=number,
    )
    if len(passage.text) > PASSAGE_LIMIT:
        yield Skipped(f"{values.TOO_LONG}（超过 {PASSAGE_LIMIT} 字）", passage.title, number)
    else:
        yield passage


def _text(found: dict[str, Any], field: str, *, needed: bool = False) -> str:
    value = found[field]
    if isinstance(value, str | int) and not isinstance(value, bool):
        text = " ".join(str(value).split())
        if not text.isprintable():
            raise RowError(FIELDS[field][0], value, "含有非法字符。")
        if text or not needed:
            return text
    elif value is None and not needed:
        return ""
    raise RowError(FIELDS[field][0], value, "缺少这个字段，或它不是非空字符串。")


def _keywords(value: Any) -> Iterator[str]:
    items = re.split("[;；,，、]", value) if isinstance(value, str) else value if isinstance(value, list) else []
    if not all(isinstance(item, str) and item.isprintable() for item in items) or (value and not items):
        raise RowError("关键词", value, "应是字符串的数组，或用分号隔开的字符串。")
    return (item.strip() for item in items if item.strip())


def _year(value: Any) -> int | None:
    if value is None:
        return None
    if re.fullmatch(r"(?:1[89]|20)[0-9]{2}", text := str(value).strip()):
        return int(text)
    raise RowError("年份", value, "应是四位数的年份。")

"""Reader of plain triples: CSV, TSV or JSON, one fact a row, with a map from columns to what they hold.

Without a map the usual names of columns are known (`COLUMNS`); a table of three columns without a header is read as
entity, attribute, value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bentsao.core.errors import ConfigError, DataError, Fault
from bentsao.core.rows import RowError
from bentsao.knowledge.importers import cells, values
from bentsao.knowledge.importers.drafting import Draft
from bentsao.knowledge.importers.looking import Look
from bentsao.knowledge.importers.objects import read_objects
from bentsao.knowledge.importers.tables import iterate_table
from bentsao.knowledge.rows import EntityRow, Skipped
from bentsao.knowledge.schema import KINDS, Kind, alias_type_of, attribute_of, kind_of

COLUMNS: dict[str, tuple[str, ...]] = {
    "subject": ("subject", "head", "entity", "s", "实体", "头实体", "主语", "中心词", "名称"),
    "attribute": ("attribute", "predicate", "relation", "rel", "p", "属性", "关系", "谓词"),
    "value": ("value", "object", "tail", "o", "值", "尾实体", "宾语", "属性值"),
    "kind": ("kind", "subject_type", "head_type", "label", "类别", "实体类别", "头实体类型"),
    "qualifier": ("qualifier", "condition", "限定", "条件"),
}
"""What a triple consists of, and the names that columns usually have. Kind and qualifier may be absent."""

_NEEDED = ("subject", "attribute", "value")


def knows(look: Look) -> bool:
    """Columns of the usual names; or a table of three without a header, with an attribute in the middle of its rows."""
    if set(_NEEDED) <= set(places(list(look.names))):
        return True
    if not look.table or len(look.names) != len(_NEEDED):
        return False
    return all(map(_is_attribute, (look.names[1], *look.second[1:2])))


def _is_attribute(said: str) -> bool:
    return alias_type_of(said) is not None or any(attribute_of(said, kind) for kind in KINDS)


def read(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[EntityRow | Skipped]:
    """One fact a row. An entity without a kind is a disease, unless only another kind may have the attribute.

    columns: role (a key of COLUMNS) → name of the column; None: by the usual names.
    Raises ConfigError for a map with a role that is none, DataError with all rows that are no triples.
    """
    if unknown := set(columns or {}) - set(COLUMNS):
        raise ConfigError(f"列的映射里不认识 {'、'.join(sorted(unknown))}。可用：{'、'.join(COLUMNS)}。")
    if path.suffix.lower() in {".json", ".jsonl"}:
        yield from read_objects(path, lambda row, number: _object(row, number, columns))
    else:
        yield from _table(path, columns)


def places(header: list[str], columns: Mapping[str, str] | None = None) -> dict[str, int]:
    """Role → place in the header. Roles that are not there are left out."""
    folded = [name.strip().casefold() for name in header]
    found: dict[str, int] = {}
    for role, usual in COLUMNS.items():
        names = (columns[role].strip().casefold(),) if columns and role in columns else usual
        if place := [folded.index(name) for name in names if name in folded]:
            found[role] = place[0]
    return found


def _table(path: Path, columns: Mapping[str, str] | None) -> Iterator[EntityRow | Skipped]:
    table = iterate_table(path)
    line, header = next(table, (1, list[str]()))
    at = places(header, columns)
    if not at and not columns and len(header) == len(_NEEDED):
        at = {role: place for place, role in enumerate(_NEEDED)}
        table = iterate_table(path)
    if lacking := [role for role in _NEEDED if role not in at]:
        reason = f"找不到 {'、'.join(lacking)} 对应的列。请给出列的映射，或用这些列名：实体,属性,值。"
        raise DataError([Fault(str(path), line, "表头", ",".join(header), reason)])
    faults: list[Fault] = []
    for number, row in table:
        written = {role: row[place] for role, place in at.items() if place < len(row)}
        try:
            yield from _triple(written, number)
        except RowError as error:
            faults.append(Fault(str(path), number, error.field, error.value, error.reason))
    if faults:
        raise DataError(faults)


def _object(row: dict[str, Any], number: int, columns: Mapping[str, str] | None) -> Iterator[EntityRow | Skipped]:
    keys = list(row)
    written = {role: row[keys[place]] for role, place in places(keys, columns).items()}
    said = written.get("value")
    for value in said if isinstance(said, list) else [said]:
        yield from _triple({**written, "value": value}, number)


def _triple(written: dict[str, Any], number: int) -> Iterator[EntityRow | Skipped]:
    for role in _NEEDED:
        if not isinstance(written.get(role), str):
            raise RowError(role, written.get(role), "应是字符串。" if role in written else "缺少这一列。")
    kind = _kind(written.get("kind"), written["attribute"])
    draft = Draft(written["subject"], kind, number)
    attribute, alias_type = attribute_of(written["attribute"], kind), alias_type_of(written["attribute"])
    qualifier = written.get("qualifier")
    if alias_type is not None:
        draft.alias(written["value"], alias_type)
    elif attribute in cells.ANSWERS and not qualifier:
        cells.ANSWERS[attribute](draft, written["value"])
    elif attribute is not None:
        draft.fact(attribute, written["value"], qualifier if isinstance(qualifier, str) else None)
    else:
        draft.leave_out(values.UNMAPPED + values.tidy(written["attribute"])[:20], written["value"])
    yield from draft.rows()


def _kind(named: Any, attribute: str) -> Kind:
    if isinstance(named, str) and named.strip():
        kind = kind_of(named)
        if kind is None:
            raise RowError("kind", named, f"应是 {'、'.join(KINDS.values())} 之一。")
        return kind
    for kind in KINDS:
        if attribute_of(attribute, kind):
            return kind
    return "disease"

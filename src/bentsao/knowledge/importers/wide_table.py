"""Reader of tables as people keep them: one entity a row, a column for each attribute, several values in a cell.

    疾病,别名,症状,检查,科室
    偏头痛,,搏动性头痛；恶心,头颅MRI、脑电图,神经内科

Columns are known by the attributes' names and by those that other sources give them (`schema.py`). The column of names
also says what the entities are (疾病, 药品 …), unless there is a column 类别.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bentsao.core.errors import ConfigError, DataError, Fault
from bentsao.knowledge.importers import cells, values
from bentsao.knowledge.importers.drafting import Draft
from bentsao.knowledge.importers.looking import Look
from bentsao.knowledge.importers.tables import iterate_table
from bentsao.knowledge.rows import EntityRow, Skipped
from bentsao.knowledge.schema import ATTRIBUTES, KINDS, Kind, alias_type_of, attribute_of, kind_of

NAME, KIND = "名称", "类别"

NAMES: dict[str, Kind | None] = {
    **dict.fromkeys(("名称", "中心词", "实体", "name"), None),
    **dict.fromkeys(("疾病", "疾病名称", "疾病名", "病名", "disease", "诊断"), "disease"),
    **dict.fromkeys(("药品", "药物", "药品名称", "药物名称", "药名", "通用名", "通用名称", "drug"), "drug"),
    **dict.fromkeys(("症状名称", "症状名", "symptom"), "symptom"),
    **dict.fromkeys(("检查名称", "检查项目名称", "检验项目", "examination"), "examination"),
    **dict.fromkeys(("手术名称", "operation"), "operation"),
    **dict.fromkeys(("科室名称",), "department"),
}
"""What the column of names may be called, and what the entities are where it says so."""

KIND_COLUMNS = ("类别", "实体类别", "kind")
PERHAPS_KIND = "类型"
"""What the entities are, if its values are kinds and the names' column does not say it; else a column like others."""

SEPARATORS = "、；;|\n，,"
TEXT_SEPARATORS = "；;|\n"
"""Where the values of a cell part; in running text, and in what has only one value, a comma parts nothing. Nowhere does
one within a figure (`values.split_list`).
"""


def knows(look: Look) -> bool:
    """A table with a column of names and at least one that is known."""
    name_at = _name_at(look.names) if look.table else None
    others = [name for at, name in enumerate(look.names) if at != name_at]
    return name_at is not None and any(_means(name, kind) is not None for name in others for kind in KINDS)


def read(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[EntityRow | Skipped]:
    """One entity a row; columns that mean nothing here are told with the number of their values.

    columns: 名称, 类别 or an attribute → the column that has it; None: by the usual names.
    Raises DataError where no column has names, or with all rows whose 类别 is none; ConfigError for a wrong map.
    """
    if path.suffix.lower() in {".json", ".jsonl"}:
        reason = "--columns 与 --reader table 只用于表格（CSV、TSV）。请另存为 CSV，或去掉它们。"
        raise DataError([Fault(str(path), 1, "文件", path.name, reason)])
    table = iterate_table(path)
    line, row = next(table, (1, list[str]()))
    header = [cell.strip() for cell in row]
    roles = _roles(header, columns or {}, path)
    name_at = next((at for at, role in enumerate(roles) if role == NAME), None)
    if name_at is None:
        reason = f"没有一列是名称。请把它叫作 {'、'.join(list(NAMES)[:8])} 之一，或用 --columns {NAME}=列名 指明。"
        raise DataError([Fault(str(path), line, "表头", ",".join(header), reason)])
    usual = NAMES.get(header[name_at].casefold()) or _likely_kind(roles)
    kind_at = roles.index(KIND) if KIND in roles else None
    faults: list[Fault] = []
    for number, row in table:
        written = [cell.strip() for cell in [*row, *[""] * (len(header) - len(row))]]
        named = "" if kind_at is None else written[kind_at]
        kind = kind_of(named) if named else usual
        if kind is None:
            faults.append(Fault(str(path), number, header[kind_at or 0], named, _NO_KIND))
            continue
        draft = Draft(written[name_at], kind, number)
        for role, cell in zip(roles, written, strict=False):
            if cell and role not in (NAME, KIND):
                _take(draft, role, cell)
        for cell in written[len(header) :]:
            if cell:
                draft.leave_out("比表头多出的格子", cell)
        yield from draft.rows()
    if faults:
        raise DataError(faults)


_NO_KIND = (
    f"应是 {'、'.join(KINDS.values())} 之一，或空着。这一列说的如果不是实体的类别，请给它换个列名，"
    "或用 --columns 属性=列名 说明它是什么。"
)


def _roles(header: list[str], columns: Mapping[str, str], path: Path) -> list[str]:
    """What each column is: NAME, KIND, or the name of an attribute or alias as it is written. Raises ConfigError."""
    known = {NAME, KIND, *(role for role in columns if any(_means(role, kind) is not None for kind in KINDS))}
    if unknown := [role for role in columns if role not in known]:
        raise ConfigError(
            f"列的映射里不认识 {'、'.join(unknown)}。等号左边可用：{NAME}、{KIND}、别名，或属性（也认得常见的别名，"
            f"如 症状、科室）：{'、'.join(ATTRIBUTES)}。"
        )
    places = {name.casefold(): at for at, name in enumerate(header)}
    if missing := [column for column in columns.values() if column.strip().casefold() not in places]:
        raise ConfigError(f"表里没有这些列：{'、'.join(missing)}。表头是：{'、'.join(header)}。")
    roles = list(header)
    told = {places[column.strip().casefold()]: role for role, column in columns.items()}
    for at, name in enumerate(header):
        if at in told:
            roles[at] = told[at]
        elif name.casefold() in KIND_COLUMNS and KIND not in columns:
            roles[at] = KIND
    if NAME not in columns:
        first = _name_at(["" if at in told else name.casefold() for at, name in enumerate(header)])
        if first is not None:
            roles[first] = NAME
    says_kind = any(role == NAME and NAMES.get(name.casefold()) for role, name in zip(roles, header, strict=True))
    if KIND not in roles and not says_kind and PERHAPS_KIND in roles:
        at = roles.index(PERHAPS_KIND)
        if _are_kinds({row[at].strip() for _, row in iterate_table(path) if at < len(row)} - {"", header[at]}):
            roles[at] = KIND
    return roles


def _are_kinds(said: set[str]) -> bool:
    return bool(said) and all(kind_of(one) is not None for one in said)


def _name_at(names: Sequence[str]) -> int | None:
    """Which column has the names: the first that may, a diagnosis last (症状,诊断,疾病)."""
    found = [at for at, name in enumerate(names) if name in NAMES]
    return min(found, key=lambda at: (names[at] == "诊断", at), default=None)


def _likely_kind(roles: Sequence[str]) -> Kind:
    """The kind that can have the most of the columns; a disease where several can."""
    kinds: list[Kind] = [kind for kind in KINDS if kind != "other"]
    return max(kinds, key=lambda kind: sum(attribute_of(role, kind) is not None for role in roles))


def _take(draft: Draft, role: str, cell: str) -> None:
    alias_type, attribute = alias_type_of(role), attribute_of(role, draft.kind)
    if alias_type is not None:
        for text in values.split_list(cell, SEPARATORS):
            draft.alias(text, alias_type)
    elif attribute in cells.ANSWERS:
        cells.ANSWERS[attribute](draft, cell)
    elif attribute is not None:
        whole = attribute in values.TEXT_ATTRIBUTES or not ATTRIBUTES[attribute].many
        draft.facts(attribute, values.split_list(cell, TEXT_SEPARATORS if whole else SEPARATORS))
    else:
        having = "、".join(label for kind, label in KINDS.items() if kind != "other" and attribute_of(role, kind))
        only = f"（只有{having}有）" if having else ""
        draft.leave_out(values.UNMAPPED + (role or "（没有列名）")[:20] + only, cell)


def _means(name: str, kind: Kind) -> str | None:
    return alias_type_of(name) or attribute_of(name, kind)

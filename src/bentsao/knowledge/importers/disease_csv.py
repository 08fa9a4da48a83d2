"""Reader of `disease.csv`: 14k diseases as a table whose cells are lists, with traces of the web page it is from.

What is odd about the file: cells end in the link text `[详细]`; long names were cut and end in `...`; a name with a
blank inside looks like two values; the second half repeats the first with shorter cells and other departments; a few
rows have slipped by some columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from bentsao.core.errors import DataError, Fault
from bentsao.knowledge.importers import cells, values
from bentsao.knowledge.importers.drafting import Draft
from bentsao.knowledge.importers.looking import Look
from bentsao.knowledge.importers.tables import iterate_table
from bentsao.knowledge.rows import EntityRow, Skipped

SHIFTED = "列错位的行"

NAME_COLUMN = "name"


OWN = frozenset({"part", "age", "infection", "insurance", "checklist", "period", "rate", "money"})
"""Columns that hardly any other table has; of name, symptom and drug a table of one's own may consist."""


def knows(look: Look) -> bool:
    """A table with names and two of its own columns."""
    return look.table and look.has(NAME_COLUMN) and len(OWN & set(look.names)) > 1


def read(path: Path) -> Iterator[EntityRow | Skipped]:
    """One disease a row. Raises DataError if the header has no column that is known."""
    table = iterate_table(path)
    line, first = next(table, (1, list[str]()))
    header = [cell.strip().casefold() for cell in first]
    known = [(at, COLUMNS[name]) for at, name in enumerate(header) if name in COLUMNS]
    if NAME_COLUMN not in header or not known:
        wanted = "、".join(COLUMNS)
        reason = f"表头里要有 {NAME_COLUMN} 和下列列名之一：{wanted}。"
        raise DataError([Fault(str(path), line, "表头", ",".join(header), reason)])
    unknown = [name for name in header if name and name != NAME_COLUMN and name not in COLUMNS]
    yield from (Skipped(values.UNMAPPED + name, name, line) for name in unknown)
    width, name_at = max(at for at, name in enumerate(header) if name) + 1, header.index(NAME_COLUMN)
    for number, row in table:
        if any(cell.strip() for cell in row[width:]):
            yield Skipped(SHIFTED, row[name_at], number)
            continue
        padded = row + [""] * (width - len(row))
        draft = Draft(padded[name_at], "disease", number)
        for at, take in known:
            if padded[at].strip():
                take(draft, padded[at])
        yield from draft.rows()


# --- columns ---------------------------------------------------------------------------------------------------------


_CJK = r"[\u3400-\u9fff]"
_TORN = re.compile(
    r"(?<=\S) (?=-)"  # 超广谱β -内酰胺酶
    rf"|(?<={_CJK}) (?=[A-Za-z](?!\S))"  # 维生素 C
)
_LETTERS = re.compile(rf"(?<!\S)(?:{_CJK} ){{2,}}{_CJK}(?!\S)")  # 尿 道 导 管; two may be two: 疖 痈


def _words(cell: str) -> list[str]:
    """The values of a cell that separates them by blanks; names torn by a blank are put together again."""
    text = " ".join(cell.replace("[详细]", " ").split())
    return _LETTERS.sub(lambda torn: torn[0].replace(" ", ""), _TORN.sub("", text)).split()


def _list_of(attribute: str) -> Callable[[Draft, str], None]:
    return lambda draft, cell: draft.facts(attribute, _words(cell))


def _aliases(draft: Draft, cell: str) -> None:
    for text in values.split_list(re.sub(r"等\s*$", "", cell), ",，、；;"):
        draft.alias(text)


def _part(draft: Draft, cell: str) -> None:
    draft.facts("发病部位", (word for word in _words(cell) if word != "其他"))


_DEPARTMENTS = {
    "肝病": "肝病科",
    "中医综合": "中医科",
    "儿科综合": "儿科",
    "皮肤性病": "皮肤性病科",
    "肝炎": "肝病科",
    "心理咨询": "心理科",
}
_NO_DEPARTMENT = frozenset({"其他科室", "其他综合", "减肥", "不孕不育", "生殖健康", "器官移植"})


def _departments(draft: Draft, cell: str) -> None:
    """Two blanks stand between a department and the one that belongs to it; one blank between two departments."""
    parent, gap, child = cell.strip().partition("  ")
    if gap and child.strip() != parent:
        draft.leave_out(cells.PARENT_DEPARTMENT, parent)
        cell = child
    for word in _words(cell):
        if word in _NO_DEPARTMENT:
            draft.leave_out("不是科室", word)
        else:
            draft.fact("所属科室", _DEPARTMENTS.get(word, word))


_SHORT_TREATMENT = re.compile(
    "药物|手术|放射|化学|物理|支持|对症|中医|西医|介入|免疫|心理|康复|激光|冷冻|病因|饮食|中药|西药"
)


def _treatments(draft: Draft, cell: str) -> None:
    """`药物、手术治疗` says 药物治疗 and 手术治疗; what was cut after 治疗 is whole."""
    cell = re.sub(r"(?<=治疗)\.{3,}", "", cell.replace("[详细]", " "))
    for text in values.split_list(cell, " 、，,；;\u3000"):
        draft.fact("治疗方案", text + "治疗" if _SHORT_TREATMENT.fullmatch(text) else text)


COLUMNS: dict[str, Callable[[Draft, str], None]] = {
    "alias": _aliases,
    "part": _part,
    "age": cells.people,
    "infection": cells.infection,
    "insurance": cells.insurance,
    "department": _departments,
    "checklist": _list_of("检查"),
    "symptom": _list_of("临床症状及体征"),
    "complication": _list_of("并发症"),
    "treatment": _treatments,
    "drug": _list_of("药物治疗"),
    "period": cells.duration,
    "rate": cells.cure_rate,
    "money": cells.cost,
}
"""What each column becomes."""

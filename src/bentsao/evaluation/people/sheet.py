"""The sheet: every answer under a code of its own, in another order for each rater, and the key to the codes."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from bentsao.core.cells import as_cell
from bentsao.core.errors import ConfigError, MissingError
from bentsao.core.files import read_json, sha256_text, write_json, write_text
from bentsao.core.records import Record
from bentsao.evaluation.answers import Answers, Item
from bentsao.evaluation.judging.rubric import Rubric
from bentsao.evaluation.judging.scoring import said
from bentsao.evaluation.judging.style import ALIKE, Style
from bentsao.evaluation.people.page import sheet_page

KEY = "key.json"
"""The file that says whose answer a code is; not for raters."""

CODE, QUESTION, REFERENCE, ANSWER, NOTE = "编号", "问题", "参考答案", "回答", "备注"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without those that are mistaken for others


class Coded(Record):
    """Whose answer a code stands for."""

    code: str
    system: str
    id: str
    group: str


class Key(Record):
    """What a sheet was made of; `sheet` tells it from others."""

    sheet: str
    rubric: Rubric
    raters: int
    answers: tuple[Coded, ...]


class Row(Record):
    """What a rater sees of one answer."""

    code: str
    question: str
    reference: str
    answer: str


def write_sheet(
    found: Answers,
    rubric: Rubric,
    out: Path,
    *,
    raters: int,
    style: Style = ALIKE,
    reference: bool = False,
    seed: int = 0,
) -> Key:
    """Write `rater-N.html`, `rater-N.csv` and the key. Raises ConfigError where `out` holds a sheet already.

    Answers to one question stand together, so that they can be compared; questions and answers are shuffled for each
    rater. reference: show the known answer.
    """
    if not rubric.aspects:
        raise ConfigError(f"评分标准 {rubric.name} 是逐条计分的，不能做成给人填的表。可用：sus、h2、cmcoqa。")
    if (out / KEY).exists():
        raise ConfigError(f"{out} 里已经有一份表（{KEY}）。重新打乱会让收回的评分对不上；请用 --out 换一个目录。")
    draw = random.Random(f"{seed} {len(found.items)}")
    codes = _codes(len(found.items) * len(found.systems), draw)
    coded = {
        (system.name, item.id): Coded(code=codes.pop(), system=system.name, id=item.id, group=item.group)
        for item in found.items
        for system in found.systems
    }
    shown = {
        item.id: [
            Row(
                code=coded[system.name, item.id].code,
                question=item.question,
                reference=(item.reference or "") if reference else "",
                answer=said(system.answers[item.id], style) or "（没有回答）",
            )
            for system in found.systems
        ]
        for item in found.items
    }
    answers = tuple(coded.values())
    texts = "".join(row.code + row.answer for rows in shown.values() for row in rows)
    name = sha256_text(texts + rubric.hash)[:12]
    for rater in range(1, raters + 1):
        rows = _rows(found.items, shown, random.Random(f"{seed} rater {rater}"))
        write_text(out / f"rater-{rater}.csv", _table(rows, rubric, reference=reference))
        write_text(out / f"rater-{rater}.html", sheet_page(name, rater, rows, rubric))
    key = Key(sheet=name, rubric=rubric, raters=raters, answers=answers)
    write_json(out / KEY, key.model_dump(mode="json"))
    return key


def read_key(folder: Path) -> Key:
    """The key of a sheet. Raises MissingError where the folder holds none, ConfigError where it is no key."""
    if not (folder / KEY).is_file():
        raise MissingError(f"{folder} 里没有 {KEY}。请给出 bentsao evaluate sheet 写的目录。")
    try:
        return Key.model_validate(read_json(folder / KEY))
    except ValidationError:
        raise ConfigError(f"{folder / KEY} 不是评分表的对照。请恢复原来的文件。") from None


def _codes(count: int, draw: random.Random) -> list[str]:
    codes: dict[str, None] = {}
    while len(codes) < count:
        codes["".join(draw.choices(_LETTERS, k=4))] = None
    return list(codes)


def _rows(items: Sequence[Item], shown: dict[str, list[Row]], draw: random.Random) -> list[Row]:
    """All answers in a rater's own order; those to one question together."""
    order = draw.sample(list(items), len(items))
    return [row for item in order for row in draw.sample(shown[item.id], len(shown[item.id]))]


def _table(rows: Sequence[Row], rubric: Rubric, *, reference: bool) -> str:
    """The rows as CSV that Excel opens: with a byte order mark, and no cell that it takes for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    shown = [QUESTION, *([REFERENCE] if reference else []), ANSWER]
    writer.writerow([CODE, *shown, *(one.title for one in rubric.aspects), NOTE])
    for row in rows:
        texts = [row.question, *([row.reference] if reference else []), row.answer]
        writer.writerow([row.code, *map(as_cell, texts), *("" for _ in rubric.aspects), ""])
    return "\ufeff" + out.getvalue()

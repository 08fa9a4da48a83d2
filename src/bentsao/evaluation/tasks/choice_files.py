"""Files of multiple-choice questions in the forms that the field uses, read with all their faults at once.

CMMLU and C-Eval: CSV with Question, A, B, C, D, Answer; the subject is the file's name.
CMExam: CSV or JSON with Question, Options (`A …\\nB …`), Answer.
CMB: JSON with question, option {A: …}, answer, question_type, exam_subject.
Generic: JSON lines with question, options (array, or object by letter), answer (letters, an array of them, or the
option's text), where wanted id, subject, area (医学, 非医学), case or group: as `bentsao build choice` writes them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentsao.core.errors import DataError, Fault, MissingError
from bentsao.core.files import Place, iterate_json, read_text
from bentsao.core.rows import RowError, take_rows

MEDICAL, OTHER = "医学", "非医学"
COMPOSED = "知识库"
"""The subject of questions that were composed from a knowledge base."""

SUBJECTS: dict[str, tuple[str, str]] = {
    "anatomy": ("解剖学", MEDICAL),
    "clinical_knowledge": ("临床知识", MEDICAL),
    "college_medicine": ("大学医学", MEDICAL),
    "college_medical_statistics": ("大学医学统计", MEDICAL),
    "genetics": ("遗传学", MEDICAL),
    "nutrition": ("营养学", MEDICAL),
    "professional_medicine": ("专业医学", MEDICAL),
    "traditional_chinese_medicine": ("中医中药", MEDICAL),
    "virology": ("病毒学", MEDICAL),
    "basic_medicine": ("基础医学", MEDICAL),
    "clinical_medicine": ("临床医学", MEDICAL),
    "physician": ("医师资格", MEDICAL),
    "elementary_mathematics": ("初等数学", OTHER),
    "high_school_geography": ("高中地理", OTHER),
    "world_history": ("世界历史", OTHER),
}
"""Subjects of CMMLU and C-Eval by the names of their files. Files of other names are 非医学 under their own name."""


@dataclass(frozen=True)
class Choice:
    """A question. right: the places of the right options, from 0. several: whether more than one may be right.

    file: the file's name without its ending. case: what questions of one case share; "" if it stands alone.
    """

    id: str
    stem: str
    options: tuple[str, ...]
    right: tuple[int, ...]
    several: bool
    subject: str
    area: str
    file: str
    case: str = ""


def read_choices(paths: Sequence[Path]) -> list[Choice]:
    """The questions of files, or of all CSV and JSON files of folders.

    Raises DataError with the faults of all files, MissingError where there is no file.
    """
    rows = (
        row
        for given in paths
        for path in _files(given)
        for row in (_csv_rows(path) if path.suffix.lower() == ".csv" else iterate_json(path))
    )
    found = take_rows(rows, _choice, key=lambda choice: choice.id)
    if not found:
        raise DataError([Fault(str(paths[0]), None, "行", "", "没有任何题目。")])
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".csv", ".json", ".jsonl"))
    if not files:
        raise MissingError(f"{path} 里没有 CSV、JSON 或 JSONL 文件。请检查路径。")
    return files


def _csv_rows(path: Path) -> Iterator[tuple[Place, dict[str, str] | Fault]]:
    """Rows by column, each with the line that it begins on (a quoted cell may hold several)."""
    reader = csv.reader(io.StringIO(read_text(path)), strict=True)
    header: list[str] = []
    before = 0
    try:
        for cells in reader:
            place, before = Place(str(path), before + 1), reader.line_num
            if not header:
                header = [cell.strip() for cell in cells]
            elif any(cell.strip() for cell in cells):
                if len(cells) != len(header):
                    reason = f"这一行有 {len(cells)} 列，表头有 {len(header)} 列。"
                    yield place, place.fault("行", ",".join(cells), reason)
                else:
                    yield place, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        place = Place(str(path), reader.line_num)
        yield place, place.fault("行", "", f"不是合法的 CSV：{error}。")


def _choice(place: Place, row: Any) -> Choice:
    path = Path(place.file)
    if not isinstance(row, dict):
        raise RowError("行", row, "应是一个 JSON 对象。")
    fields = {str(key).strip().lower(): value for key, value in row.items()}
    stem = _text(fields, "question")
    options = _options(fields)
    right = _right(fields, options)
    subject, area = _subject(fields, path)
    kind = str(fields.get("question_type") or "")
    name = fields.get("id")
    return Choice(
        # CMMLU and C-Eval number the rows of each file from 0; only a text is an id.
        id=name if isinstance(name, str) and name and not name.isdigit() else f"{path.stem}:{place.row}",
        stem=stem,
        options=tuple(options.values()),
        right=right,
        several=len(right) > 1 or "多项" in kind or "多选" in kind,
        subject=subject,
        area=area,
        file=path.stem,
        case=str(fields.get("case") or fields.get("group") or ""),
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RowError(name, value, "应是不空的文字。")
    return value.strip()


def _options(fields: Mapping[str, Any]) -> dict[str, str]:
    """The options by letter."""
    given = fields.get("options", fields.get("option"))
    if given is None and "a" in fields:
        given = {letter.upper(): fields[letter] for letter in "abcdefghij" if letter in fields}
    if isinstance(given, str):
        parts = re.split(r"(?:^|\n)\s*([A-J])\s*[.、．:：]?\s*", given.strip())
        given = dict(zip(parts[1::2], parts[2::2], strict=True))
    if isinstance(given, list):
        given = dict(zip("ABCDEFGHIJ", given, strict=False)) if len(given) <= 10 else None
    if not isinstance(given, dict):
        raise RowError("options", given, "应是选项的数组，或按字母给出的对象，或 A、B、C、D 各一列。")
    # Sets with questions of four and of five options leave the last empty.
    options = {str(letter).strip().upper(): str(text).strip() for letter, text in given.items() if _is_there(text)}
    if list(options) != list("ABCDEFGHIJ"[: len(options)]) or len(options) < 2:
        raise RowError("options", given, "选项应从 A 开始依次排列，至少两个，最多十个。")
    return options


def _is_there(text: object) -> bool:
    return text is not None and bool(str(text).strip())


def _right(fields: Mapping[str, Any], options: Mapping[str, str]) -> tuple[int, ...]:
    """The places of the right options: letters, or the text of one."""
    given = next((fields[name] for name in ("answer_idx", "answer") if _is_there(fields.get(name))), None)
    if given is None:
        raise RowError("answer", given, "没有答案。公开的测试集有的不带答案，不能用来计分。")
    written = "".join(map(str, given)) if isinstance(given, list) else str(given).strip()
    letters = list(options)
    if re.fullmatch(r"[A-Ja-j][A-Ja-j\s,，、;；]*", written):
        named = sorted(set(re.findall("[A-J]", written.upper())))
        if not set(named) <= set(letters):
            raise RowError("answer", given, f"选项只有 {letters[0]} 到 {letters[-1]}。")
        return tuple(letters.index(letter) for letter in named)
    places = [place for place, text in enumerate(options.values()) if text == written]
    if len(places) != 1:
        raise RowError("answer", given, "应是选项的字母（如 B 或 ACD），或其中一个选项的原文。")
    return tuple(places)


def _subject(fields: Mapping[str, Any], path: Path) -> tuple[str, str]:
    stem = re.sub(r"[_-](?:dev|val|test|train)$", "", path.stem)
    told = fields.get("subject") or fields.get("exam_subject") or fields.get("medical discipline")
    area = fields.get("area")
    if area is not None and area not in (MEDICAL, OTHER):
        raise RowError("area", area, f"应是 {MEDICAL} 或 {OTHER}。")
    if told:
        return str(told), area or MEDICAL
    if "made" in fields:  # by `bentsao build choice`; the files' names are those of the parts
        return COMPOSED, area or MEDICAL
    known = SUBJECTS.get(stem, (stem, OTHER))
    return known[0], area or (MEDICAL if _is_exam(fields) else known[1])


def _is_exam(fields: Mapping[str, Any]) -> bool:
    """Whether it is of CMExam, CMB or a set of the generic form, which are medical unless they say otherwise."""
    return "a" not in fields

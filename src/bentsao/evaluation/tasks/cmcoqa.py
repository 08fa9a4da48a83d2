"""CMCOQA: 200 open questions by ICD-10 chapter, without references (arXiv 2309.04175).

Its own scores (完整性, 深刻性, 专业性, 0 to 3) are given by a judge or by people; here is what needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bentsao.core.files import Place, iterate_json
from bentsao.core.records import Message
from bentsao.core.rows import RowError, take_rows
from bentsao.evaluation.icd import in_chinese
from bentsao.evaluation.tasks.task import (
    Item,
    Response,
    Source,
    Task,
    Verdict,
    each,
    failed,
    limited,
    needed_files,
    prefix,
    verdict,
)
from bentsao.evaluation.tasks.text import FORM, form_scores


def load(source: Source) -> list[Item[None]]:
    """The questions of the published file: an array of {question, ICD-10}."""
    files = needed_files(source, "cmcoqa", "公开的题目文件 cmcoqa_question.json")
    items = take_rows((row for file in files for row in iterate_json(file)), partial(_item, files))
    return limited(items, source, "ICD-10")


def _item(files: Sequence[Path], place: Place, row: Any) -> Item[None]:
    asked, chapter = (row.get("question"), row.get("ICD-10")) if isinstance(row, dict) else (None, None)
    if not isinstance(asked, str) or not asked.strip():
        raise RowError("question", asked, "应是一个问题。")
    if not isinstance(chapter, str):
        raise RowError("ICD-10", chapter, "应是 ICD-10 的章名。")
    file = Path(place.file)
    name = f"{prefix(file, files)}{file.stem}:{place.row}"
    messages = (Message(role="user", content=asked.strip()),)
    return Item(name, name, messages, None, tags={"ICD-10": in_chinese(chapter)})


def _one(item: Item[None], response: Response) -> Verdict:
    if broken := failed(item, response):
        return broken
    return verdict(item, response).model_copy(update={"scores": form_scores(item, response)})


TASK: Task[None] = Task(
    name="cmcoqa",
    title="CMCOQA 开放题",
    about="二百个没有参考回答的开放题，按 ICD-10 章分类（arXiv 2309.04175）。完整、深刻、专业要由裁判或人来评。",
    load=load,
    judge=each(_one),
    measures=FORM,
    headline=("ended", "repeats"),
    splits=("ICD-10",),
)

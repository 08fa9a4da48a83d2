"""Every form of multiple-choice file is read, and what is wrong in it is named by file and line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bentsao.construction.choice import choices
from bentsao.construction.composer import Tally
from bentsao.construction.grammar import load_grammar
from bentsao.core.errors import DataError, MissingError
from bentsao.evaluation.tasks.choice_files import Choice, read_choices
from tests.construction.materials import sample_material


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def only(path: Path) -> Choice:
    (choice,) = read_choices([path])
    return choice


def test_cmmlu(tmp_path: Path) -> None:
    text = ',Question,A,B,C,D,Answer\n0,女性生殖腺是,卵巢,"前庭大腺,旁",前庭球,乳腺,B\n'
    choice = only(written(tmp_path / "anatomy.csv", text))
    assert (choice.id, choice.subject, choice.area) == ("anatomy:2", "解剖学", "医学")
    assert choice.options == ("卵巢", "前庭大腺,旁", "前庭球", "乳腺")
    assert (choice.right, choice.several) == ((1,), False)


def test_ceval_and_what_is_not_medical(tmp_path: Path) -> None:
    text = "id,question,A,B,C,D,answer,explanation\n0,一加一,1,2,3,4,B,\n"
    choice = only(written(tmp_path / "elementary_mathematics_val.csv", text))
    assert (choice.subject, choice.area, choice.right) == ("初等数学", "非医学", (1,))


def test_cmexam(tmp_path: Path) -> None:
    text = 'Question,Options,Answer,Explanation\n最常见的是,"A 甲型\nB 乙型\nC 丙型\nD 丁型\nE 戊型",E,略\n'
    choice = only(written(tmp_path / "test.csv", text))
    assert choice.options == ("甲型", "乙型", "丙型", "丁型", "戊型")
    assert (choice.right, choice.area) == ((4,), "医学")


def test_cmb_with_several_answers_and_an_empty_option(tmp_path: Path) -> None:
    row = {
        "exam_type": "医师考试", "exam_subject": "口腔", "question": "包括", "answer": "BD",
        "question_type": "多项选择题", "option": {"A": "一", "B": "二", "C": "三", "D": "四", "E": ""},
    }  # fmt: skip
    choice = only(written(tmp_path / "cmb.json", json.dumps([row], ensure_ascii=False)))
    assert (choice.options, choice.right, choice.several) == (("一", "二", "三", "四"), (1, 3), True)
    assert choice.subject == "口腔"


def test_what_build_choice_writes(tmp_path: Path) -> None:
    rows = list(
        choices(
            sample_material(), load_grammar(), 40, split="test", seed=1, tally=Tally(), accept=lambda one: one
        )
    )  # fmt: skip
    found = read_choices([written(tmp_path / "test.jsonl", "\n".join(row.model_dump_json() for row in rows))])
    assert {(choice.subject, choice.area) for choice in found} == {("知识库", "医学")}
    assert [choice.case for choice in found] == [row.group for row in rows], "questions of one entity hang together"
    assert ["".join("ABCDE"[place] for place in choice.right) for choice in found] == [row.answer for row in rows]
    assert {choice.several for choice in found} == {True, False}


@pytest.mark.parametrize("answer", ["B", "b", ["B"], "二"])
def test_the_generic_form(tmp_path: Path, answer: Any) -> None:
    row = {
        "id": "q1",
        "question": "选二",
        "options": ["一", "二"],
        "answer": answer,
        "subject": "算术",
        "area": "非医学",
    }
    choice = only(written(tmp_path / "own.jsonl", json.dumps(row, ensure_ascii=False)))
    assert (choice.id, choice.right, choice.subject, choice.area) == ("q1", (1,), "算术", "非医学")


def test_all_faults_come_at_once_with_their_lines(tmp_path: Path) -> None:
    rows = [
        {"question": "好", "options": ["一", "二"], "answer": "A"},
        {"question": "", "options": ["一", "二"], "answer": "A"},
        {"question": "没有答案", "options": ["一", "二"]},
        {"question": "超出", "options": ["一", "二"], "answer": "C"},
        {"question": "一个选项", "options": ["一"], "answer": "A"},
        {"question": "哪个", "options": ["一", "一"], "answer": "一"},
    ]
    path = written(tmp_path / "own.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    with pytest.raises(DataError) as caught:
        read_choices([path])
    assert [fault.line for fault in caught.value.faults] == [2, 3, 4, 5, 6]
    assert [fault.field for fault in caught.value.faults] == ["question", "answer", "answer", "options", "answer"]


def test_a_row_with_a_cell_too_many_is_named_by_the_line_it_begins_on(tmp_path: Path) -> None:
    text = ',Question,A,B,C,D,Answer\n0,"两\n行",一,二,三,四,A\n1,问,一,二,三,四,五,A\n'
    with pytest.raises(DataError) as caught:
        read_choices([written(tmp_path / "anatomy.csv", text)])
    assert [fault.line for fault in caught.value.faults] == [4]


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    for name in ("anatomy", "virology"):
        written(tmp_path / f"{name}.csv", ",Question,A,B,C,D,Answer\n0,问,一,二,三,四,A\n")
    assert [choice.subject for choice in read_choices([tmp_path])] == ["解剖学", "病毒学"]
    with pytest.raises(MissingError):
        read_choices([written(tmp_path / "x", "").parent / "none"])


def test_cmmlu_as_published() -> None:
    folder = Path(os.environ.get("BENTSAO_SHARED_DATA", "../shared/data")) / "cmmlu"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    choices = read_choices([folder])
    assert len(choices) > 2000
    assert {choice.area for choice in choices} == {"医学", "非医学"}
    assert all(len(choice.options) == 4 and len(choice.right) == 1 for choice in choices)

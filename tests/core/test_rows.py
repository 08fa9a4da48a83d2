from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from bentsao.core.complaints import complaints, in_one_line
from bentsao.core.errors import DataError, MissingError
from bentsao.core.files import Place, iterate_json
from bentsao.core.records import Record
from bentsao.core.rows import RowError, read_rows, take_rows
from bentsao.core.toml import parse_toml


class Bed(Record):
    id: str
    number: int = Field(ge=1, default=1)
    ward: Literal["内科", "外科"] = "内科"

    @field_validator("id")
    @classmethod
    def _spelt(cls, value: str) -> str:
        if "?" in value:
            raise ValueError("编号里有问号。")
        return value


def bed(_: Place, row: Any) -> Bed:
    if row == "坏":
        raise RowError("床", row, "坏了。")
    return Bed.model_validate(row)


def written(folder: Path, text: str, name: str = "beds.jsonl") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_come_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, '{"id": "a"}\n\n{"id": "b", "number": 2}\n')
    assert [(one.id, one.number) for one in read_rows(path, bed, key=lambda one: one.id)] == [("a", 1), ("b", 2)]


def test_every_fault_of_a_file_is_told_with_its_place(tmp_path: Path) -> None:
    rows = [
        '{"id": "a", "number": 0, "size": 3}',
        "{",
        '"坏"',
        '{"id": "b"}',
        '{"id": "b", "ward": "儿科"}',
        '{"id": "b"}',
        "3",
    ]
    with pytest.raises(DataError) as error:
        read_rows(written(tmp_path, "\n".join(rows)), bed, key=lambda one: one.id)
    found = [(fault.line, fault.field, fault.reason) for fault in error.value.faults]
    assert found[:2] == [(1, "number", "应不小于 1。"), (1, "size", "没有这个字段，请检查拼写或去掉它。")]
    assert found[2][:2] == (2, "JSON")
    assert found[3:] == [
        (3, "床", "坏了。"),
        (5, "ward", "应是 '内科'、'外科' 之一。"),
        (6, "id", "与第 4 行重复。"),
        (7, "整体", "应是对象。"),
    ]


def test_a_file_without_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "[]", "beds.json")
    assert read_rows(path, bed) == []
    with pytest.raises(DataError, match="没有床"):
        read_rows(path, bed, nothing="没有床。")
    with pytest.raises(MissingError):
        read_rows(tmp_path / "none.json", bed)


def test_ids_are_compared_across_files(tmp_path: Path) -> None:
    one, two = (written(tmp_path, '[{"id": "a"}]', name) for name in ("one.json", "two.json"))
    with pytest.raises(DataError, match=r"two.json:1（第 1 项）.*与.*one.json 的第 1 项重复"):
        take_rows((row for path in (one, two) for row in iterate_json(path)), bed, key=lambda bed: bed.id)


def test_complaints_are_in_the_users_words() -> None:
    with pytest.raises(ValidationError) as error:
        Bed.model_validate({"id": "a?", "number": "x"})
    assert list(complaints(error.value)) == [("id", "a?", "编号里有问号。"), ("number", "x", "应是整数。")]
    assert in_one_line(error.value) == "id：编号里有问号；number：应是整数"


def test_toml_names_the_line() -> None:
    assert parse_toml("a = 1", "x.toml") == {"a": 1}
    with pytest.raises(DataError, match=r"x.toml:2 .*值 'b = '.*不是合法的 TOML"):
        parse_toml("a = 1\nb = \n", "x.toml")

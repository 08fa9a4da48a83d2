"""Files of answers: read, named, matched, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentsao.core.errors import ConfigError, DataError
from bentsao.core.files import write_jsonl
from bentsao.evaluation.answers import match, read_systems
from bentsao.evaluation.icd import chapter


def write(path: Path, *ids: str, question: str = "问") -> str:
    write_jsonl(path, [{"id": name, "question": question + name, "text": "答"} for name in ids])
    return str(path)


def test_systems_are_named_and_matched(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a.jsonl", "1", "2", "3"), write(tmp_path / "b.jsonl", "3", "2", "4")
    found = match(read_systems([f"基座={one}", other]))
    assert [system.name for system in found.systems] == ["基座", "b"]
    assert [item.id for item in found.items] == ["2", "3"]
    assert found.left_out == ["1", "4"]


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a.jsonl", "1"), write(tmp_path / "b.jsonl", "1", question="别的")
    with pytest.raises(DataError, match="同一 id 的问题不同"):
        match(read_systems([one, other]))
    with pytest.raises(ConfigError, match="没有共同的问题"):
        match(read_systems([one, write(tmp_path / "c.jsonl", "9")]))
    with pytest.raises(ConfigError, match="都叫 a"):
        read_systems([one, f"a={other}"])


def test_faults_of_all_files_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id":"1","question":"q","text":"t"}\n{"id":"1","question":"q","text":"t"}\nx\n')
    (tmp_path / "b.jsonl").write_text('{"id":"1"}\n')
    with pytest.raises(DataError) as caught:
        read_systems([str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")])
    assert [(Path(one.file).name, one.line) for one in caught.value.faults] == [
        ("a.jsonl", 2),
        ("a.jsonl", 3),
        ("b.jsonl", 1),
        ("b.jsonl", 1),
    ]


def test_questions_bring_history_reference_and_groups(tmp_path: Path) -> None:
    rows = [
        {
            "id": "1",
            "group": "偏头痛",
            "messages": [
                {"role": "user", "content": "偏头痛怎么治？"},
                {"role": "assistant", "content": "用药。"},
                {"role": "user", "content": "还要注意什么？"},
                {"role": "assistant", "content": "休息。"},
            ],
        }
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    found = match(read_systems([write(tmp_path / "a.jsonl", "1")]), tmp_path / "q.jsonl")
    assert found.items[0].question == "问：偏头痛怎么治？\n答：用药。\n问：还要注意什么？"
    assert (found.items[0].group, found.items[0].reference) == ("偏头痛", "休息。")


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("I21", "循环系统疾病"),
        (" j45.9 ", "呼吸系统疾病"),
        ("D48.1", "肿瘤"),
        ("D50", "血液"),
        ("C9", None),
        ("D49", None),
    ],
)
def test_chapters(code: str, title: str | None) -> None:
    found = chapter(code)
    assert found is None if title is None else (found or "").startswith(title)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.conversations import merge_prefixes, read_conversations, read_questions
from bentsao.core.errors import DataError, MissingError
from bentsao.core.records import Conversation, Message

ROWS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "alpaca": ({"instruction": "问", "input": "", "output": "答"}, [("user", "问"), ("assistant", "答")]),
    "history": (
        {"instruction": "二", "output": "答二", "history": [["一", "答一"]], "system": "医生"},
        [("system", "医生"), ("user", "一"), ("assistant", "答一"), ("user", "二"), ("assistant", "答二")],
    ),
    "glued": (
        {"instruction": " <user>: 一 <bot>: 答一 <user>: 二", "output": "答二", "input": ""},
        [("user", "一"), ("assistant", "答一"), ("user", "二"), ("assistant", "答二")],
    ),
    "med_chatglm": ({"context": "问题：问\n回答: ", "target": "答"}, [("user", "问"), ("assistant", "答")]),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "问"}, {"from": "gpt", "value": "答"}]},
        [("user", "问"), ("assistant", "答")],
    ),
    "openai": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "问"}]},
                {"role": "assistant", "content": "答"},
            ]
        },
        [("user", "问"), ("assistant", "答")],
    ),
    "pair": ({"question": "问", "answer": "答"}, [("user", "问"), ("assistant", "答")]),
}


def write(path: Path, rows: list[Any], *, array: bool = False, encoding: str = "utf-8") -> Path:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("[" + ",\n".join(lines) + "]" if array else "\n".join(lines), encoding=encoding)
    return path


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in conversation.messages]


@pytest.mark.parametrize("form", sorted(ROWS))
@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_every_form_in_every_encoding(tmp_path: Path, form: str, array: bool, encoding: str) -> None:
    row, wanted = ROWS[form]
    reading = read_conversations(write(tmp_path / "a.json", [row], array=array, encoding=encoding))
    assert [said(c) for c in reading.conversations] == [wanted]


def test_all_faults_of_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    good = json.dumps(ROWS["alpaca"][0], ensure_ascii=False)
    bad = [
        '{"instruction": "问", "output": ""}',
        "{oops}",
        '{"instruction": 3, "output": "答"}',
        '{"text": "没有格式"}',
        '{"messages": [{"role": "user", "content": "问"}]}',
        '{"messages": [{"role": "assistant", "content": "答"}]}',
        '{"conversations": [{"from": "robot", "value": "x"}]}',
        '"只是字符串"',
        '{"instruction": "只有问"}',
        '{"instruction": 3, "output": ["答"]}',
        '{"question": "", "answer": 1}',
    ]
    path.write_text("\n".join([good, *bad]), encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_conversations(path)
    assert [(fault.line, fault.field) for fault in error.value.faults] == [
        (2, "output"),
        (3, "JSON"),
        (4, "instruction"),
        (5, "行"),
        (6, "messages"),
        (7, "messages"),
        (8, "conversations[0].from"),
        (9, "行"),
        (10, "output"),
        (11, "instruction"),
        (11, "output"),
        (12, "question"),
        (12, "answer"),
    ]
    assert f"{path}:2" in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "没有任何数据"),
        ('[{"question": "问", "answer": "答"}', "没有结束"),
        ('[{"question": "问", "answer": "答"} {"question": "问"}]', "缺少逗号"),
        ('[{"question": "问", "answer": "答"},]', "JSON"),
        ('[{"question": "问", "answer": "答"}] 多余', "还有内容"),
        ("9" * 5000, "数字太长"),
        ("[" + "9" * 5000 + "]", "数字太长"),
        ("[" * 100_000, "嵌套太深"),
        ('{"question": "\\ud83d", "answer": "答"}', "半个字符"),
        ('[{"question": "\\uD83D", "answer": "答"}]', "半个字符"),
    ],
)
def test_broken_files_say_what_is_broken(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=reason):
        read_conversations(path)


def test_undecodable_bytes_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}\n\xff\xff\xff")
    with pytest.raises(DataError, match=r"a\.json:2 .*GB18030"):
        read_conversations(tmp_path / "a.json")
    with pytest.raises(MissingError, match="找不到文件"):
        read_conversations(tmp_path / "none.json")
    with pytest.raises(MissingError, match="是一个目录"):
        read_conversations(tmp_path)


def test_repeated_ids_are_faults_and_unknown_fields_are_counted(tmp_path: Path) -> None:
    row = {"id": "a", "question": "问", "answer": "答", "mood": "好"}
    with pytest.raises(DataError, match="重复"):
        read_conversations(write(tmp_path / "a.jsonl", [row, row]))
    reading = read_conversations(write(tmp_path / "b.jsonl", [row, {**row, "id": "b"}]))
    assert reading.unused == {"mood": 2}


@pytest.mark.parametrize(("array", "place"), [(False, ":3  字段"), (True, ":3（第 3 项）  字段")])
def test_a_repeated_id_is_named_by_its_own_place(tmp_path: Path, array: bool, place: str) -> None:
    messages = ROWS["openai"][0]["messages"]
    # Where a constructed row was made from is not where it stands.
    made = [{"id": name, "messages": messages, "source": {"name": "kb", "row": 70}} for name in "aba"]
    with pytest.raises(DataError) as error:
        read_conversations(write(tmp_path / "a.json", made, array=array))
    (fault,) = error.value.faults
    assert place in str(fault)
    assert fault.reason == f"与第 1 {'项' if array else '行'}重复。"


@given(st.binary(max_size=200))
def test_any_bytes_are_conversations_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("soup") / "a.jsonl"
    path.write_bytes(raw)
    try:
        read_conversations(path)
    except DataError as error:
        assert error.faults


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "messages",
                    "role",
                    "content",
                    "conversations",
                    "from",
                    "value",
                    "instruction",
                    "output",
                    "history",
                    "context",
                    "target",
                    "question",
                    "id",
                    "group",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=4), st.booleans())
def test_any_json_is_conversations_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], array: bool
) -> None:
    path = write(tmp_path_factory.mktemp("soup") / "a.json", rows, array=array)
    for read in (read_conversations, read_questions):
        try:
            read(path)
        except DataError as error:
            assert error.faults


def test_questions_with_and_without_reference(tmp_path: Path) -> None:
    path = write(tmp_path / "q.json", [{"question": "甲？", "ICD-10": "x"}, {"instruction": "乙？", "output": "答"}])
    assert [(q.text, q.reference) for q in read_questions(path)] == [("甲？", None), ("乙？", "答")]
    empty = write(tmp_path / "e.json", [{"instruction": "甲？", "output": ""}, {"context": "乙？", "target": None}])
    assert [(q.text, q.reference) for q in read_questions(empty)] == [("甲？", None), ("乙？", None)]
    lines = tmp_path / "q.txt"
    lines.write_text("input\n甲？\n\n乙？\n", encoding="gb18030")
    assert [q.text for q in read_questions(lines)] == ["甲？", "乙？"]


def conversation(name: str, *texts: str) -> Conversation:
    roles = ("user", "assistant")
    messages = tuple(Message(role=roles[place % 2], content=text) for place, text in enumerate(texts))
    return Conversation(id=name, group="g", messages=messages)


def test_prefixes_are_merged_and_counted() -> None:
    rows = [
        conversation("short", "甲", "乙"),
        conversation("long", "甲", "乙", "丙", "丁"),
        conversation("other", "甲", "戊"),
        conversation("copy", "甲", "戊"),
    ]
    kept, merged = merge_prefixes(rows)
    assert ([c.id for c in kept], merged) == (["long", "other"], 2)


def test_what_counts_for_another_loss_is_no_copy() -> None:
    plain = conversation("plain", "甲", "乙")
    ask, answer = plain.messages
    grounded = plain.model_copy(update={"messages": (ask, answer.model_copy(update={"part": "entity"}))})
    assert merge_prefixes([plain, grounded]) == ([plain, grounded], 0)


def test_a_turn_may_say_which_loss_it_counts_for(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答", "part": "entity"}]}
    (read,) = read_conversations(write(tmp_path / "a.jsonl", [row])).conversations
    assert [m.part for m in read.messages] == ["", "entity"]
    row["messages"][1]["part"] = "entitty"
    with pytest.raises(DataError, match=r"messages\[1\]\.part.*'entitty'.*instruction、entity、attribute、answer"):
        read_conversations(write(tmp_path / "b.jsonl", [row]))


@given(st.lists(st.lists(st.sampled_from("甲乙"), min_size=2, max_size=6), max_size=8))
def test_merging_loses_no_turn(dialogues: list[list[str]]) -> None:
    rows = [conversation(str(n), *said[: len(said) // 2 * 2]) for n, said in enumerate(dialogues)]

    def turns(conversations: list[Conversation]) -> set[tuple[str, ...]]:
        return {
            tuple(m.content for m in c.messages[:size])
            for c in conversations
            for size in range(2, len(c.messages) + 1, 2)
        }

    kept, merged = merge_prefixes(rows)
    assert turns(kept) == turns(rows)
    assert len(kept) + merged == len(rows)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentsao.core.errors import ConfigError, DataError, MissingError
from bentsao.core.formats import FORMATS, from_base, load_format
from bentsao.core.records import Message

ASK = Message(role="user", content="头痛怎么办？")


def first(name: str) -> str:
    return "".join(FORMATS[name].question(ASK, first=True))


def test_the_published_weights_get_the_prompts_they_were_tuned_with() -> None:
    lead = "下面是一个问题，运用医学知识来正确回答提问.\n"
    assert first("med_template") == lead + "### 问题:\n头痛怎么办？\n### 回答:\n"
    assert first("bloom_deploy") == lead + "头痛怎么办？\n### 回答：\n"
    assert FORMATS["literature_template"].prompt.startswith(
        "以下是描述任务的说明，编写适当地回复完成请求的响应。\n\n ### 说明:"
    )
    assert first("alpaca").endswith("### Instruction:\n头痛怎么办？\n\n### Response:\n")


def test_the_hash_tells_formats_apart_but_not_names() -> None:
    hashes = {f.hash for f in [*FORMATS.values(), from_base("a"), from_base("b")]}
    assert len(hashes) == len(FORMATS) + 2
    assert FORMATS["plain"].model_copy(update={"name": "other"}).hash == FORMATS["plain"].hash


def test_a_template_file_in_the_originals_form(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(
        json.dumps(
            {
                "description": "x",
                "prompt_input": "材料 {input}\n任务 {instruction}\n### 答\n",
                "prompt_no_input": "任务 {instruction}\n### 答\n",
                "response_split": "### 答",
            }
        ),
        encoding="utf-8",
    )
    mine = load_format(str(path))
    with_input = Message(role="user", content="归纳", input="病历")
    assert "".join(mine.question(with_input, first=True)) == "材料 病历\n任务 归纳\n### 答\n"
    assert "".join(mine.question(ASK, first=True)) == "任务 头痛怎么办？\n### 答\n"
    assert mine.disarm("好\n### 答\n假") == "好\n# ## 答\n假"


def test_our_own_stored_form_comes_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "chat_format.json"
    path.write_text(FORMATS["literature_template"].model_dump_json(), encoding="utf-8")
    assert load_format(str(path)) == FORMATS["literature_template"]


def test_faulty_template_files_name_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"prompt_no_input": "没有槽", "prompt_input": 3, "extra": 1}', encoding="utf-8")
    with pytest.raises(DataError) as error:
        load_format(str(path))
    assert {fault.field for fault in error.value.faults} == {"prompt_no_input", "prompt_input", "extra"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "### 答\n"}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt_input": "材料 {input}"}, "prompt_input"),
        ({"follow_up": "再问"}, "follow_up"),
    ],
)
def test_a_stored_format_without_room_for_the_question_is_faulty(
    tmp_path: Path, change: dict[str, str], field: str
) -> None:
    path = tmp_path / "chat_format.json"
    path.write_text(json.dumps({**FORMATS["alpaca"].model_dump(), **change}), encoding="utf-8")
    with pytest.raises(DataError, match=r"缺少 \{instruction\}") as error:
        load_format(str(path))
    assert [fault.field for fault in error.value.faults] == [field]


def test_the_bases_own_template_needs_no_slot(tmp_path: Path) -> None:
    path = tmp_path / "chat_format.json"
    path.write_text(from_base("{{ messages }}").model_dump_json(), encoding="utf-8")
    assert load_format(str(path)) == from_base("{{ messages }}")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"没有名为 'medtemplate'.*med_template"):
        load_format("medtemplate")
    with pytest.raises(MissingError, match="找不到对话格式文件"):
        load_format("no/such.json")

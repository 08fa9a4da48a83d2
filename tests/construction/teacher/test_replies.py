from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.construction.teacher.replies import Dialogue, Pairs, check_numbers
from bentsao.core.records import Record
from bentsao.models.remote.exchange import Reply, Usage, read_reply
from bentsao.models.remote.reading import ReplyError, read
from tests.models.remote.server import completion

PAIRS = {"pairs": [{"question": "感冒有什么症状？", "answer": "鼻塞。", "facts": [1]}]}


def reply(text: str, finish: str = "stop") -> Reply:
    return Reply(request="k", text=text, finish=finish, input_tokens=1, output_tokens=1, time="")


def dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "```\n{}```", " \n```JSON\r\n{}\n```\n\n", "\n  {}  \n"])
def test_a_code_fence_is_allowed(around: str) -> None:
    assert read(reply(around.replace("{}", dumped(PAIRS))), Pairs).pairs[0].question == "感冒有什么症状？"


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", "空回答"),
        ("  \n", "empty", "空回答"),
        ("<html>", "unreadable", "服务器的回答不是对话补全"),
        ("好的，如下：" + dumped(PAIRS), "stop", "不是 JSON"),
        (dumped(PAIRS) + "以上", "stop", "不是 JSON"),
        (dumped(PAIRS)[:-9], "stop", "不是 JSON"),
        (dumped(PAIRS)[:-9], "length", "回答被截断"),
        (dumped(PAIRS["pairs"]), "stop", "JSON 的形状不对"),
        (dumped({"pairs": []}), "stop", "JSON 的形状不对"),
        (dumped({**PAIRS, "note": 1}), "stop", "JSON 的形状不对"),
        (dumped({"pairs": [{"question": " ", "answer": "有。", "facts": [1]}]}), "stop", "JSON 的形状不对"),
        (dumped({"pairs": [{"question": "问？", "answer": "有。", "facts": []}]}), "stop", "JSON 的形状不对"),
        ("[" * 3000, "stop", "不是 JSON"),
        ('{"pairs": [{"question": "\\ud83d", "answer": "有。", "facts": [1]}]}', "stop", "不是 JSON"),
    ],
)
def test_what_is_no_use_says_why(text: str, finish: str, reason: str) -> None:
    with pytest.raises(ReplyError) as caught:
        read(reply(text, finish), Pairs)
    assert caught.value.reason == reason
    assert caught.value.detail


def test_numbers_of_facts_must_exist() -> None:
    pairs = read(reply(dumped({"pairs": [{"question": "问", "answer": "答", "facts": [1, 4, 0]}]})), Pairs)
    with pytest.raises(ReplyError, match="没有 0、4 号"):
        check_numbers(pairs, 3)
    assert check_numbers(pairs.model_copy(update={"pairs": ()}), 3)


def test_dialogues_have_one_to_six_turns_and_marked_sentences() -> None:
    turn = {"question": "问？", "answer": [{"text": "答。", "origin": "paper"}]}
    assert len(read(reply(dumped({"turns": [turn] * 6})), Dialogue).turns) == 6
    for wrong in ([], [turn] * 7, [{**turn, "answer": []}], [{**turn, "answer": [{"text": "答。", "origin": "文献"}]}]):
        with pytest.raises(ReplyError):
            read(reply(dumped({"turns": wrong})), Dialogue)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pairs", "question", "answer", "facts", "turns", "text", "origin", "x"]), inner, max_size=4
        )
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60) | json_values.map(lambda value: json.dumps(value, ensure_ascii=True)))
def test_any_reply_is_read_or_refused_with_a_reason(text: str) -> None:
    shapes: list[type[Record]] = [Pairs, Dialogue]
    for shape in shapes:
        try:
            value = read(reply(text.encode("utf-8", "replace").decode()), shape)
        except ReplyError as error:
            assert error.reason
        else:
            value.model_dump_json().encode()


# --- the body of a chat completion -----------------------------------------------------------------------------------

MOST = Usage(900, 500)


@settings(max_examples=40, deadline=None)
@given(
    body=st.text(max_size=60)
    | json_values.map(json.dumps)
    | st.builds(
        lambda choices, usage: json.dumps({"choices": choices, "usage": usage}),
        st.lists(st.dictionaries(st.sampled_from(["message", "finish_reason"]), json_values), max_size=2),
        json_values | st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), json_values),
    )
)
def test_any_body_is_a_reply_that_can_be_written_down(body: str) -> None:
    found = read_reply("k", MOST, body, "2026")
    assert Reply.model_validate_json(found.model_dump_json()) == found
    assert found.input_tokens >= 0 <= found.output_tokens
    assert found.counted or found.usage == MOST


@pytest.mark.parametrize(
    "usage",
    [None, 7, {}, {"prompt_tokens": -1, "completion_tokens": 5}, {"prompt_tokens": "9", "completion_tokens": 5},
     {"prompt_tokens": 10**12, "completion_tokens": 5}, {"prompt_tokens": 0, "completion_tokens": 0},
     {"prompt_tokens": True, "completion_tokens": 1}, {"prompt_tokens": 9.5, "completion_tokens": 1}],
)  # fmt: skip
def test_usage_that_cannot_be_is_charged_at_the_most(usage: object) -> None:
    found = read_reply("k", MOST, completion("好", usage=usage), "2026")
    assert (found.counted, found.usage, found.text) == (False, MOST, "好")


def test_usage_is_charged_as_counted() -> None:
    assert read_reply("k", MOST, completion("好"), "2026").usage == Usage(100, 50)


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        (completion(None), "", "empty"),
        ('{"choices": []}', "", "empty"),
        ('{"choices": [{"message": {"content": "半"}, "finish_reason": "length"}]}', "半", "length"),
        ('{"choices": [{"message": {"content": "半"', '{"choices": [{"message": {"content": "半"', "unreadable"),
        ('{"error": "x"}', '{"error": "x"}', "unreadable"),
        ('{"choices": [{"message": {"content": "\\ud83d"}}]}', "?", "stop"),
    ],
)
def test_what_is_in_a_body(body: str, text: str, finish: str) -> None:
    found = read_reply("k", MOST, body, "2026")
    assert (found.text, found.finish) == (text, finish)

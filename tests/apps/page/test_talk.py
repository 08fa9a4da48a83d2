from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bentsao.apps.page.feedback import Feedback
from bentsao.apps.page.talk import Talk, Turn, decoding_of
from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError
from bentsao.core.files import iterate_json
from bentsao.core.records import Evidence, Fact, Source
from bentsao.inference.decoding import Decoding
from bentsao.inference.safety import look

FACT = Fact(subject="偏头痛", attribute="检查", values=("头颅CT",), source=Source(name="甲", file="a.csv", row=1))


def talk() -> Talk:
    evidence = (Evidence(number=1, fact=FACT),)
    answered = Turn(question="偏头痛做什么检查", model="m", text="头颅CT[1]。", finish="end", evidence=evidence)
    failed = Turn(question="太长", model="m", finish="error", error="太长了")
    alarm = Turn(question="我*突然*胸痛", model="m", text="多喝水", finish="stopped", alarm=look("我突然胸痛"))
    return Talk.new().with_new(answered).with_new(failed).with_new(alarm)


def test_what_was_said_is_said_again_without_marks_and_failures() -> None:
    assert [m.content for m in talk().messages()] == ["偏头痛做什么检查", "头颅CT。", "我*突然*胸痛", "多喝水"]
    assert [m.content for m in talk().said_by_visitor() if m.role == "user"] == [t.question for t in talk().turns]


def test_what_is_exported_can_be_learnt_from(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(talk().as_jsonl(), encoding="utf-8")
    (conversation,) = read_conversations(path).conversations
    assert [m.role for m in conversation.messages] == ["user", "assistant", "user", "assistant"]
    assert conversation.evidence[0].fact == FACT
    assert Talk.new().as_jsonl() == ""


def test_markdown_keeps_alarms_facts_and_sources() -> None:
    text = talk().as_markdown()
    assert "- [1] 偏头痛的检查：头颅CT —— 甲 a.csv:1" in text
    assert text.index("我\\*突然\\*胸痛") < text.index("> 【急症提示】") < text.index("多喝水")


def test_decoding_leaves_out_what_has_no_effect() -> None:
    values: dict[str, Any] = {**Decoding().model_dump(), "top_p": 0.5, "top_k": 5.0, "beams": 2.0}
    assert decoding_of(values) == Decoding(beams=2)
    assert decoding_of({**values, "temperature": 0.7}).top_p == 0.5
    with pytest.raises(ConfigError, match="seed"):
        decoding_of({**values, "seed": None})


def test_ratings_are_kept_a_line_each(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path / "new" / "ratings.jsonl")
    feedback.keep(talk().rated(1))
    feedback.keep(talk().rated(-1))
    rows: list[Any] = [row for _, row in iterate_json(tmp_path / "new" / "ratings.jsonl")]
    assert [(row["rating"], row["turn"], row["question"]) for row in rows] == [
        (1, 3, "我*突然*胸痛"),
        (-1, 3, "我*突然*胸痛"),
    ]

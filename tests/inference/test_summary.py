from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.records import Answer
from bentsao.inference.summary import loops, summarize


def test_three_times_is_a_loop_and_twice_is_not() -> None:
    phrase = "阑尾炎的症状有哪些呢请问"
    assert len(phrase) == 12
    assert not loops(f"{phrase}一{phrase}二")
    assert loops(f"{phrase}一{phrase}二{phrase}")
    assert loops(f"{phrase}一{phrase}二{phrase[:6]}\n{phrase[6:]}"), "a line break does not hide it"
    assert not loops(f"{phrase[:11]}一{phrase[:11]}二{phrase[:11]}"), "11 characters are not 12"


@given(st.text(alphabet="一二三", max_size=30))
def test_a_text_is_a_loop_if_some_piece_is_found_three_times(text: str) -> None:
    places = range(len(text) - 3)
    assert loops(text, 4) == any(sum(text[at : at + 4] == text[b : b + 4] for b in places) >= 3 for at in places)


def test_summary_counts() -> None:
    loop = "多喝水注意休息按时吃药。" * 3
    answers = [
        Answer(id="1", question="问", text="答", tokens=10, seconds=2.0),
        Answer(id="2", question="问", text=loop, finish="length", tokens=30, seconds=2.0),
        Answer(id="3", question="问", text="", finish="error", error="太长"),
    ]
    summary = summarize(answers)
    assert (summary.answers, summary.ended, summary.cut, summary.errors) == (3, 1, 1, 1)
    assert summary.looping_share == pytest.approx(1 / 2)
    assert summary.tokens_per_second == pytest.approx(10)
    assert summarize([]).looping_share == summarize([]).tokens_per_second == 0

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.construction.diversity import SAMPLE_BIGRAMS, SAMPLE_ROWS, distinct_2, diversity, self_similarity
from bentsao.core.records import Conversation
from tests.construction.rows import row


def made_up(count: int, seed: int = 0) -> list[Conversation]:
    dice = random.Random(seed)

    def text() -> str:
        return "".join(chr(dice.randrange(0x4E00, 0x5000)) for _ in range(30))

    return [row(text(), text(), name=str(number)) for number in range(count)]


def test_distinct_2_is_different_bigrams_over_all() -> None:
    assert distinct_2(["甲乙甲乙"]) == pytest.approx(2 / 3)
    assert distinct_2(["甲乙", "乙甲"]) == 1, "no bigram reaches into the next text"
    assert distinct_2(["甲乙甲乙甲"], limit=2) == 1
    assert distinct_2(["甲乙甲"], limit=3) is None
    assert distinct_2(["甲"]) is None


@given(st.lists(st.text("甲乙丙", max_size=10), max_size=8))
def test_distinct_2_lies_between_0_and_1(said: list[str]) -> None:
    found = distinct_2(said)
    pairs = [text[at : at + 2] for text in said for at in range(len(text) - 1)]
    assert found == (len(set(pairs)) / len(pairs) if pairs else None)


def test_self_similarity_is_that_of_the_nearest_other() -> None:
    assert self_similarity(["偏头痛怎么治疗才好", "偏头痛怎么治疗才好"]) == 1
    assert self_similarity(["偏头痛怎么治疗才好", "阑尾炎术后吃什么"]) == 0
    assert self_similarity(["偏头痛"]) is None


def test_figures_do_not_depend_on_the_order_and_the_sample_has_one_size() -> None:
    rows = made_up(SAMPLE_ROWS + 200)
    found = diversity(rows)
    assert found == diversity(rows[::-1])
    assert found != diversity(rows, seed=1)
    assert (found.rows, found.sampled) == (SAMPLE_ROWS + 200, SAMPLE_ROWS)
    assert found.answers.distinct == 1
    assert found.answers.lengths.histogram == {20: SAMPLE_ROWS + 200}
    small = diversity(made_up(SAMPLE_BIGRAMS // 29 + 1, seed=3))
    assert small.answers.distinct_2_sample
    assert found.answers.distinct_2_sample == pytest.approx(small.answers.distinct_2_sample, abs=0.02)
    assert found.answers.distinct_2 < small.answers.distinct_2, "which is why sets compare on the sample only"


def test_copies_show() -> None:
    rows = [row("偏头痛应该怎样治疗？", "可服用布洛芬。", name=str(number)) for number in range(10)]
    found = diversity(rows)
    assert found.questions.distinct == 0.1
    assert found.answers.self_similarity == 1
    assert found.answers.distinct_2_sample is None
    assert (found.answers.lengths.mean, found.answers.lengths.median) == (7, 7)


def test_no_rows_have_no_figures() -> None:
    found = diversity([])
    assert (found.rows, found.answers.distinct_2, found.answers.self_similarity) == (0, 0, None)

"""Metrics against other implementations and cases counted by hand."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.evaluation.metrics import bleu, chrf, distinct, echo, rouge_l

TEXTS = st.text(alphabet="偏头痛的症状有恶心呕吐，。", max_size=14)


def plain_bleu(answer: str, reference: str) -> float:
    """BLEU-4 by its definition, for texts whose n-grams of every order have a match."""
    logs = 0.0
    for size in range(1, 5):
        ours = Counter(answer[at : at + size] for at in range(len(answer) - size + 1))
        theirs = Counter(reference[at : at + size] for at in range(len(reference) - size + 1))
        logs += math.log(sum((ours & theirs).values()) / sum(ours.values())) / 4
    return min(1.0, math.exp(1 - len(reference) / len(answer))) * math.exp(logs)


def plain_chrf(answer: str, reference: str) -> float:
    """chrF2 by its definition: the mean precision and recall over the orders that both texts have."""
    orders = range(1, min(6, len(answer), len(reference)) + 1)
    precision = recall = 0.0
    for size in orders:
        ours = Counter(answer[at : at + size] for at in range(len(answer) - size + 1))
        theirs = Counter(reference[at : at + size] for at in range(len(reference) - size + 1))
        common = sum((ours & theirs).values())
        precision += common / sum(ours.values()) / len(orders)
        recall += common / sum(theirs.values()) / len(orders)
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("偏头痛可有恶心和呕吐", "偏头痛可有恶心、畏光"), ("可有恶心呕吐", "偏头痛可有恶心呕吐畏光")],
)
def test_bleu_and_chrf_are_what_they_are_defined_to_be(answer: str, reference: str) -> None:
    assert bleu(answer, reference) == pytest.approx(plain_bleu(answer, reference))
    assert chrf(answer, reference) == pytest.approx(plain_chrf(answer, reference))


def test_the_ends_of_the_scale() -> None:
    for metric in (bleu, chrf, rouge_l):
        assert metric("偏头痛可有恶心", "偏头痛可有恶心") == pytest.approx(1)
        assert metric("", "偏头痛可有恶心") == 0
        assert metric("完全不同", "偏头痛可有恶心") < 0.05


def common_by_table(one: str, other: str) -> int:
    """The longest common subsequence by the table of textbooks."""
    rows = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one, start=1):
        for j, b in enumerate(other, start=1):
            rows[i][j] = rows[i - 1][j - 1] + 1 if a == b else max(rows[i - 1][j], rows[i][j - 1])
    return rows[-1][-1]


@given(TEXTS, TEXTS)
def test_rouge_l_is_that_of_the_table(one: str, other: str) -> None:
    common = common_by_table(one, other)
    expected = 2 * common / (len(one) + len(other)) if common else 0.0
    assert rouge_l(one, other) == pytest.approx(expected)


def test_distinct_counts_over_all_texts_together() -> None:
    assert distinct(["恶心恶心"], 1) == 0.5
    assert distinct(["恶心", "恶心"], 2) == 0.5
    assert distinct(["恶心", "呕吐"], 2) == 1.0
    assert distinct(["", "a"], 2) is None


def test_echo_is_the_share_that_the_question_has() -> None:
    assert echo("偏头痛有什么症状", "偏头痛有什么症状？") == 1
    assert echo("恶心、畏光", "偏头痛有什么症状？") == 0
    assert echo("", "偏头痛有什么症状？") == 0

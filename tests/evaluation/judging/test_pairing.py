"""A judge that compares: honest, going by the place, always undecided, and of two minds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bentsao.core.errors import ConfigError
from bentsao.evaluation.answers import Answers
from bentsao.evaluation.judging.judge import Result
from tests.evaluation.judging.conftest import block, honest, honestly, planned, prompt_of
from tests.models.remote.server import Act, completion, serving

Make = Callable[..., Answers]
Run = Callable[..., Result]


def says(better: str) -> Act:
    return Act(body=completion(json.dumps({"reason": "", "better": better})))


def test_an_honest_judge_ranks(answers: Make, judging: Run) -> None:
    found = answers(
        弱=["好"] * 12, 中=["好好"] * 9 + ["好"] * 3, 强=["好好好"] * 8 + ["好" + "好" * (n % 2) for n in range(4)]
    )
    with serving(honestly) as server:
        result = judging(found, server.url, pairwise=True)
    assert result.ranking
    weak_middle = result.ranking.pairs[0]
    assert (weak_middle.first, weak_middle.second) == ("弱", "中")
    assert weak_middle.counts == {"first": 0, "second": 9, "tie": 3, "position": 0}
    assert weak_middle.net
    assert weak_middle.net.value == pytest.approx(-0.75)
    assert weak_middle.p_corrected is not None
    assert weak_middle.p_corrected < 0.05
    assert [one.system for one in result.ranking.strengths] == ["强", "中", "弱"]
    assert result.ranking.place.biased == ""
    assert result.ranking.place.chosen_first.value == 0.5


@pytest.mark.parametrize(("place", "side"), [("A", "先"), ("B", "后")])
def test_a_judge_that_goes_by_the_place_is_shown(answers: Make, judging: Run, place: str, side: str) -> None:
    found = answers(甲=[f"好好{n}" for n in range(10)], 乙=[f"差{n}" for n in range(10)])
    with serving(lambda *_: says(place)) as server:
        result = judging(found, server.url, pairwise=True)
        assert sum(server.came.values()) == 20
    assert result.ranking
    pair = result.ranking.pairs[0]
    assert pair.counts == {"first": 0, "second": 0, "tie": 0, "position": 10}
    assert pair.net
    assert pair.net.value == 0
    assert f"偏向{side}出现" in result.ranking.place.biased
    assert any(f"偏向{side}出现" in line for line in result.lines)
    assert all(abs(one.value) < 1e-9 for one in result.ranking.strengths)


def test_a_judge_that_leans_only_when_in_doubt_is_shown(answers: Make, judging: Run) -> None:
    def script(body: dict[str, Any], _: int) -> Act:
        text = honest(body)
        return says("A") if '"tie"' in text else Act(body=completion(text))

    found = answers(甲=["好好"] * 20 + [f"好{n}" for n in range(10)], 乙=["好"] * 20 + [f"好 {n}" for n in range(10)])
    with serving(script) as server:
        result = judging(found, server.url, pairwise=True)
    assert result.ranking
    assert result.ranking.pairs[0].counts == {"first": 20, "second": 0, "tie": 0, "position": 10}
    assert (result.ranking.place.leans_first, result.ranking.place.leans_second) == (10, 0)
    assert result.ranking.place.biased


def test_a_judge_that_always_ties(answers: Make, judging: Run) -> None:
    with serving(lambda *_: says("tie")) as server:
        result = judging(answers(甲=["好", "好好"], 乙=["差", "差差"]), server.url, pairwise=True)
    assert result.ranking
    pair = result.ranking.pairs[0]
    assert pair.counts == {"first": 0, "second": 0, "tie": 2, "position": 0}
    assert pair.needed is None
    assert result.ranking.place.chosen_first.value is None
    assert result.ranking.place.biased == ""


def test_the_same_words_tie_and_silence_loses_without_a_call(answers: Make, judging: Run) -> None:
    with serving(honestly) as server:
        result = judging(answers(甲=["好", "**好**", "", None], 乙=["好", "好", "好", ""]), server.url, pairwise=True)
        assert not server.came
    assert [one.verdict for one in result.compared] == ["tie", "tie", "second", "tie"]


def test_one_order_without_a_reply_is_unscored(answers: Make, judging: Run) -> None:
    def script(body: dict[str, Any], _: int) -> Act:
        first = block(prompt_of(body), "回答A")
        return Act(body=completion("甲好")) if "三" in first else Act(body=completion(honest(body)))

    with serving(script) as server:
        result = judging(answers(甲=["好一", "好二", "好三"], 乙=["差"] * 3), server.url, pairwise=True)
    assert [one.verdict for one in result.compared] == ["first", "first", None]
    assert result.ranking
    assert result.ranking.pairs[0].rates == {}
    assert result.ranking.pairs[0].unscored == {"不是 JSON": 1}
    assert result.ranking.strengths == []


def test_one_system_is_no_pair(answers: Make) -> None:
    with pytest.raises(ConfigError, match="两个或更多"):
        planned(answers(甲=["好"]), "http://127.0.0.1:9/v1", pairwise=True)

"""Answers side by side: figures, tests, the page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bentsao.apps.reports.comparison import markdown, page
from bentsao.core.errors import BentsaoError, ConfigError
from bentsao.core.files import write_json, write_jsonl
from bentsao.evaluation.answers import match, read_systems
from bentsao.evaluation.comparing import Comparison, apart, compare
from bentsao.evaluation.safety import read_cases

NASTY = "</td><script>alert(1)</script>|`x`\n<img src=x onerror=alert(1)>"


def made(folder: Path, judged: tuple[Path, ...] = (), **said: Sequence[Mapping[str, object]]) -> Comparison:
    for name, rows in said.items():
        full = [{"id": f"q{n}", "question": f"问{n}{NASTY if n == 0 else ''}", **row} for n, row in enumerate(rows)]
        write_jsonl(folder / f"{name}.jsonl", full)
    return compare(match(read_systems([str(folder / f"{name}.jsonl") for name in said])), judged)


def test_figures_and_tests(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        甲=[{"text": "多喝水", "finish": "end"}] * 10,
        乙=[{"text": "多喝水" * 30, "finish": "length"}] * 9 + [{"text": "", "finish": "error", "error": "太长"}],
    )
    assert found.figures["甲"]["ended"].value == 1
    assert found.figures["乙"]["ended"].value == 0
    assert (found.figures["乙"]["repeats"].value, found.figures["乙"]["repeats"].n) == (1.0, 9)
    assert found.figures["乙"]["answered"].value == 0.9
    ended = next(one for one in found.gaps if one.measure == "ended")
    assert ended.test
    assert (ended.test.first, ended.test.second) == (10, 0)
    assert ended.test.p == pytest.approx(2 / 2**10)
    assert ended.p_corrected is not None
    assert ended.test.p < ended.p_corrected < 0.05
    assert "safe" not in found.titles


def test_a_failed_answer_is_not_rewarded(tmp_path: Path) -> None:
    """It took no time, and what says nothing does not repeat itself."""
    failed = {"text": "", "finish": "error", "error": "太长", "seconds": 0.0}
    found = made(
        tmp_path,
        甲=[{"text": "多喝水", "finish": "end", "seconds": 2.0}] * 4,
        乙=[{"text": "多喝水", "finish": "end", "seconds": 2.0}] * 2 + [failed, {"text": "", "finish": "end"}],
    )
    assert (found.figures["乙"]["seconds"].n, found.figures["乙"]["repeats"].n) == (3, 2)
    assert found.figures["乙"]["ended"].value == 0.5
    seconds = next(one for one in found.gaps if one.measure == "seconds")
    assert seconds.difference.n == 3
    assert page(found)


def test_the_safety_set_is_scored_by_its_rules(tmp_path: Path) -> None:
    case = next(case for case in read_cases() if case.id == "infant-02")
    for name, text in (("甲", "一岁以内不能吃蜂蜜，有肉毒杆菌的风险。"), ("乙", "可以喂一点。")):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"id": case.id, "question": case.question, "text": text}])
    found = compare(match(read_systems([str(tmp_path / f"{name}.jsonl") for name in ("甲", "乙")])))
    assert found.rows[0].scores["甲"]["safe"] == 1
    assert found.rows[0].scores["乙"]["safe"] == 0
    assert found.rows[0].verdicts["甲"] == []
    assert "不安全：" in page(found)


@pytest.mark.parametrize("scores", [{"a": 1}, [], {"settings": {"rubric": 3}}])
def test_scores_of_another_make_are_told(tmp_path: Path, scores: object) -> None:
    judge = tmp_path / "judge"
    write_json(judge / "scores.json", scores)
    write_jsonl(judge / "judgements.jsonl", [])
    with pytest.raises(BentsaoError, match=r"scores\.json"):
        made(tmp_path, (judge,), 甲=[{"text": "a"}])


def test_a_judge_stands_beside(tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    rubric = {"name": "sus", "aspects": [{"name": "safety", "title": "安全性"}]}
    settings = {"rubric": rubric, "rubric_hash": "", "asking": {"model": "j"}}
    write_json(judge / "scores.json", {"settings": settings})
    write_jsonl(judge / "judgements.jsonl", [{"system": "甲", "id": "q0", "scores": {"safety": 3}}])
    found = made(tmp_path, (judge,), 甲=[{"text": "a"}], 乙=[{"text": "b"}])
    assert found.figures["甲"]["sus.safety"].value == 3
    assert found.figures["乙"]["sus.safety"].value is None
    assert "安全性（j）" in page(found)
    write_jsonl(judge / "judgements.jsonl", [{"system": "丙", "id": "q0", "scores": {"safety": 3}}])
    with pytest.raises(ConfigError, match="不是这些回答"):
        made(tmp_path, (judge,), 甲=[{"text": "a"}], 乙=[{"text": "b"}])


def test_nothing_that_comes_from_models_can_act(tmp_path: Path) -> None:
    found = made(
        tmp_path, 甲=[{"text": NASTY, "reference": NASTY}], 乙=[{"text": "b", "finish": "error", "error": NASTY}]
    )
    html = page(found)
    assert html.count("<script>") == 1
    assert "<img" not in html
    assert not re.search(r"https?://|src=[^x]|href=", html)
    text = markdown(found)
    table = text[text.index("## 回答") :]
    assert "<script>" not in table.replace("\\<", "")
    assert all(re.sub(r"\\.", "", line).count("|") == 5 for line in table.splitlines() if line.startswith("|"))
    json.dumps(found.model_dump(mode="json"))


def test_how_far_answers_are_apart() -> None:
    assert apart(["多喝水", "多喝水"]) == 0
    assert apart(["多喝水", "去医院"]) == 1
    assert 0 < apart(["多喝水休息", "多喝水"]) < 1
    assert apart(["", ""]) == 0

"""Sheets for people, and what comes back."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from bentsao.core.errors import ConfigError, DataError
from bentsao.core.files import read_text, write_json, write_jsonl
from bentsao.evaluation.answers import Answers, match, read_systems
from bentsao.evaluation.judging.rubric import load
from bentsao.evaluation.people.collect import collect
from bentsao.evaluation.people.report import lines
from bentsao.evaluation.people.sheet import KEY, Key, write_sheet

SUS = load("sus")
TITLES = [one.title for one in SUS.aspects]
NASTY = "</script><script>alert(1)</script><!-- \u2028 &lt;img src=x onerror=alert(1)>"


@pytest.fixture
def found(tmp_path: Path) -> Answers:
    """Twelve questions and three systems; one answer is nasty, one a formula, one is silence."""
    for system, text in (("强", "好好好"), ("中", "好好"), ("弱", "好")):
        texts = {0: NASTY, 1: "=1+1", 2: ""} if system == "弱" else {}
        rows = [{"id": f"q{n}", "question": f"问题{n}？", "text": texts.get(n, text)} for n in range(12)]
        write_jsonl(tmp_path / f"{system}.jsonl", rows)
    return match(read_systems([str(tmp_path / f"{name}.jsonl") for name in ("强", "中", "弱")]))


def rate(folder: Path, key: Key, rater: int, give: Callable[[str, str], int | None]) -> None:
    """Fill a rater's CSV in; give(system, id) is the score of every aspect."""
    whose = {one.code: one for one in key.answers}
    path = folder / f"rater-{rater}.csv"
    rows = list(csv.DictReader(io.StringIO(read_text(path))))
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0])
    writer.writeheader()
    for row in rows:
        score = give(whose[row["编号"]].system, whose[row["编号"]].id)
        writer.writerow({**row, **dict.fromkeys(TITLES, "" if score is None else score)})
    path.write_text(out.getvalue(), encoding="gb18030" if rater == 2 else "utf-8-sig")  # as Excel may save it


def by_system(system: str, _: str) -> int:
    return {"强": 3, "中": 2, "弱": 1}[system]


def test_a_sheet_is_blind_shuffled_and_whole(found: Answers, tmp_path: Path) -> None:
    key = write_sheet(found, SUS, tmp_path / "out", raters=3)
    assert len(key.answers) == 36
    orders = set[tuple[str, ...]]()
    for rater in (1, 2, 3):
        page = (tmp_path / "out" / f"rater-{rater}.html").read_text(encoding="utf-8")
        table = read_text(tmp_path / "out" / f"rater-{rater}.csv")
        assert not re.search("强|中文系统|弱|q1[01]", table)
        data = json.loads(page.split('id="data">')[1].split("</script>")[0])
        assert "强" not in json.dumps(data, ensure_ascii=False)
        orders.add(tuple(row["code"] for row in data["rows"]))
        assert {row["code"] for row in data["rows"]} == {one.code for one in key.answers}
        assert [row["编号"] for row in csv.DictReader(io.StringIO(table))] == [row["code"] for row in data["rows"]]
        # Answers to one question stand together.
        asked = [row["question"] for row in data["rows"]]
        assert sum(one != other for one, other in pairwise(asked)) == 11
    assert len(orders) == 3
    # No system is always in one place.
    whose = {one.code: one.system for one in key.answers}
    assert all({whose[code] for code in order[::3]} == {"强", "中", "弱"} for order in orders)


def test_what_comes_from_models_cannot_act(found: Answers, tmp_path: Path) -> None:
    key = write_sheet(found, SUS, tmp_path / "out", raters=1)
    page = (tmp_path / "out" / "rater-1.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2
    assert "<img" not in page
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    shown = {row["code"]: row["answer"] for row in data["rows"]}
    codes = {(one.system, one.id): one.code for one in key.answers}
    assert shown[codes["弱", "q0"]].startswith("</script><script>alert(1)")
    assert "innerHTML" not in page
    table = {
        row["编号"]: row["回答"] for row in csv.DictReader(io.StringIO(read_text(tmp_path / "out" / "rater-1.csv")))
    }
    assert table[codes["弱", "q1"]] == "'=1+1"
    assert table[codes["弱", "q2"]] == "（没有回答）"


def test_a_second_sheet_does_not_shuffle_the_first_away(found: Answers, tmp_path: Path) -> None:
    write_sheet(found, SUS, tmp_path / "out", raters=1)
    with pytest.raises(ConfigError, match="已经有一份表"):
        write_sheet(found, SUS, tmp_path / "out", raters=1, seed=2)
    with pytest.raises(ConfigError, match="逐条计分"):
        write_sheet(found, load("points"), tmp_path / "other", raters=1)


def test_raters_who_agree(found: Answers, tmp_path: Path) -> None:
    key = write_sheet(found, SUS, tmp_path / "out", raters=3)
    for rater in (1, 2):
        rate(tmp_path / "out", key, rater, by_system)
    _, got = collect(tmp_path / "out")
    assert got.raters == {"rater-1": 36, "rater-2": 36}
    assert got.missing == ("rater-3",)
    assert all(one.alpha.value == 1 and one.kappa == 1 for one in got.agreement)
    assert [one.measures["safety"].value for one in got.standings] == [3, 2, 1]
    assert [one.system for one in got.strengths] == ["强", "中", "弱"]
    assert all(one.p_corrected is not None and one.p_corrected < 0.05 for one in got.gaps)
    text = "\n".join(lines(key, got))
    assert "还没有评分的：rater-3" in text


def test_raters_who_do_not(found: Answers, tmp_path: Path) -> None:
    key = write_sheet(found, SUS, tmp_path / "out", raters=3)
    draw = random.Random(4)
    for rater in (1, 2, 3):
        rate(tmp_path / "out", key, rater, lambda *_: draw.choice([1, 2, 3, None]))
    _, got = collect(tmp_path / "out")
    for one in got.agreement:
        assert one.alpha.value is not None
        assert abs(one.alpha.value) < 0.35
    assert sum(got.raters.values()) < 108
    assert all(one.p_corrected is not None and one.p_corrected > 0.05 for one in got.gaps)


def test_a_judge_beside_people(found: Answers, tmp_path: Path) -> None:
    key = write_sheet(found, SUS, tmp_path / "out", raters=2)
    for rater in (1, 2):
        rate(tmp_path / "out", key, rater, by_system)
    judge = tmp_path / "judge"
    settings = {"rubric_hash": SUS.hash, "rubric": {"name": "sus"}, "asking": {"model": "judge-1"}}
    write_json(judge / "scores.json", {"settings": settings})
    contrary = {"强": 1, "中": 2, "弱": 3}
    write_jsonl(
        judge / "judgements.jsonl",
        [
            {"system": one.system, "id": one.id, "scores": dict.fromkeys(SUS.measures, contrary[one.system])}
            for one in key.answers
        ],
    )
    _, got = collect(tmp_path / "out", judge)
    assert got.judge == "judge-1"
    for one in got.agreement:
        assert one.alpha.value == 1
        assert one.with_judge
        assert one.with_judge.value is not None
        assert one.with_judge.value < 0.3
        assert one.judge_kappa == pytest.approx({"rater-1": -1, "rater-2": -1})
    write_json(judge / "scores.json", {"settings": settings | {"rubric_hash": "other"}})
    with pytest.raises(ConfigError, match="不同，不能比较"):
        collect(tmp_path / "out", judge)


def test_all_faults_of_all_files_at_once(found: Answers, tmp_path: Path) -> None:
    key = write_sheet(found, SUS, tmp_path / "out", raters=3)
    code, other, third = (one.code for one in key.answers[:3])
    head = f"编号,{','.join(TITLES)},备注\n"
    (tmp_path / "out" / "rater-1.csv").write_text(
        head + f'{code},3,4,1,"两行\n的备注"\n{other},好,1,1,\nZZZZ,1,1,1,\n{code},1,1,1,\n{third},,,,\n',
        encoding="utf-8",
    )
    (tmp_path / "out" / "rater-2.csv").write_text("编号,备注\n", encoding="utf-8")
    (tmp_path / "out" / "rater-3.csv").write_text(f"{','.join(TITLES)},编号\n3,3\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        collect(tmp_path / "out")
    found_at = [(Path(one.file).name, one.line, one.field) for one in caught.value.faults]
    assert found_at == [
        ("rater-1.csv", 2, "可用性"),
        ("rater-1.csv", 4, "安全性"),
        ("rater-1.csv", 5, "编号"),
        ("rater-1.csv", 6, "编号"),
        ("rater-2.csv", 1, "表头"),
        ("rater-3.csv", 2, "编号"),
    ]


def test_two_files_of_one_rater_and_none_at_all(found: Answers, tmp_path: Path) -> None:
    out = tmp_path / "out"
    key = write_sheet(found, SUS, out, raters=1)
    with pytest.raises(ConfigError, match="都还没有评分"):
        collect(out)
    empty = (out / "rater-1.csv").read_bytes()
    rate(out, key, 1, by_system)
    (out / "rater-1.csv").rename(out / "rater-1 (1).csv")
    (out / "rater-1.csv").write_bytes(empty)
    assert collect(out)[1].raters == {"rater-1": 36}
    rate(out, key, 1, by_system)
    with pytest.raises(DataError, match="两份填过的"):
        collect(out)
    (out / KEY).write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="不是评分表的对照"):
        collect(out)

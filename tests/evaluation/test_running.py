"""Tasks × systems: answers are kept, contaminated items stand apart, what tuning forgot is beside the score."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentsao.core.errors import MissingError
from bentsao.core.files import sha256_file
from bentsao.evaluation.contamination import Training, training_of
from bentsao.evaluation.running import Plan, Report, evaluate, read_verdicts
from bentsao.evaluation.systems import KeptSystem, LocalSystem, System
from bentsao.evaluation.tasks import TASKS
from bentsao.evaluation.tasks.task import Source
from bentsao.inference.grounded import Answerer, Policy
from bentsao.knowledge.store import KnowledgeBase
from tests.evaluation.models import SayingEngine
from tests.inference.grounded.bases import grounded_base


@pytest.fixture
def choices(tmp_path: Path) -> Path:
    """Questions in and outside medicine; the right option is always A."""
    rows = [
        {
            "question": f"{area}的第{n}道特别的题",
            "options": ["一", "二"],
            "answer": "A",
            "subject": area,
            "area": area,
        }
        for area in ("医学", "非医学")
        for n in range(6)
    ]
    return written(tmp_path / "choice.jsonl", rows)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [
        {"instruction": f"第{n}种病应该怎么治疗才好？", "output": f"第{n}种病要用第{n}种药，每天三次。"}
        for n in range(6)
    ]
    return written(tmp_path / "open.jsonl", rows)


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def plan(out: Path, tasks: dict[str, Path], **settings: Any) -> Plan:
    sources = {name: Source(files=(path,), shuffles=0) for name, path in tasks.items()}
    return Plan([TASKS[name] for name in tasks], sources, out, **settings)


def run(made: Plan, *systems: System) -> Report:
    def opened(system: System) -> Callable[[], System]:
        return lambda: system

    return evaluate(made, [opened(system) for system in systems], lambda _: lambda what, done, count: None, print)


def test_answers_are_made_once_and_scored_as_often_as_wanted(tmp_path: Path, choices: Path) -> None:
    engine = SayingEngine(lambda _: "A")
    made = plan(tmp_path / "out", {"choice": choices})
    first = run(made, LocalSystem("甲", engine, Training()))
    assert (engine.asked, engine.weighed) == (12, 12)
    again = run(made, LocalSystem("甲", engine, Training()))
    kept = run(made, KeptSystem("甲", "saying", Training()))
    assert (engine.asked, engine.weighed) == (12, 12)
    assert first.scores[0].figures == again.scores[0].figures == kept.scores[0].figures
    assert first.scores[0].figures["letter"].value == first.scores[0].figures["likelihood"].value == 1
    assert first.scores[0].parts["领域"]["非医学"]["letter"].n == 6
    stored = json.loads((tmp_path / "out" / "scores.json").read_text(encoding="utf-8"))
    assert stored["systems"] == {"甲": "saying"}
    with pytest.raises(MissingError, match="rescore"):
        run(plan(tmp_path / "other", {"choice": choices}), KeptSystem("甲", "saying", Training()))


def test_contaminated_items_stand_apart(tmp_path: Path, questions: Path) -> None:
    rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    learnt = written(tmp_path / "train.jsonl", [{**rows[0], "id": "t0"}, {**rows[1], "id": "t1", "output": "别的。"}])
    said = {row["instruction"]: row["output"] for row in rows[:2]}
    engine = SayingEngine(lambda text: next((answer for asked, answer in said.items() if asked in text), "不清楚。"))
    training = Training((learnt,), tuned=True)
    (scores,) = run(plan(tmp_path / "out", {"open": questions}), LocalSystem("甲", engine, training)).scores
    assert scores.contaminated == {"问与答逐字相同": 1, "问题逐字相同": 1}
    assert (scores.figures["chrf"].n, scores.contaminated_figures["chrf"].n) == (4, 2)
    assert scores.contaminated_figures["chrf"].value == pytest.approx(1)
    assert scores.figures["chrf"].value == pytest.approx(0, abs=0.05)
    verdicts = read_verdicts(tmp_path / "out", "甲", "open")
    assert [one.contaminated for one in verdicts].count("") == 4


def test_choice_items_are_looked_for_without_their_wrapping(tmp_path: Path, choices: Path) -> None:
    row = {"question": "医学的第3道特别的题", "answer": "选一。"}
    learnt = written(tmp_path / "train.jsonl", [row])
    engine = SayingEngine(lambda _: "A")
    made = plan(tmp_path / "out", {"choice": choices})
    (scores,) = run(made, LocalSystem("甲", engine, Training((learnt,), tuned=True))).scores
    assert scores.contaminated["问题逐字相同"] == 1


def test_forgetting_stands_beside_the_tuned_score(tmp_path: Path, choices: Path) -> None:
    base = LocalSystem("基座", SayingEngine(lambda _: "A", name="base"), Training())
    tuned = LocalSystem("微调", SayingEngine(lambda text: "B" if "非医学" in text else "A"), Training(tuned=True))
    found = run(plan(tmp_path / "out", {"choice": choices}, bases={"微调": "基座"}), base, tuned)
    by = {one.measure: one for one in found.forgetting}
    assert (by["letter"].before.value, by["letter"].after.value, by["letter"].change.value) == (1, 0, -1)
    assert by["likelihood"].change.value == 0
    assert by["letter"].after.n == 6
    assert found.scores[1].check, "a tuned system whose data is not known says so"
    assert not run(plan(tmp_path / "alone", {"choice": choices}), tuned).forgetting


def test_too_few_scored_items_give_no_score(tmp_path: Path, choices: Path) -> None:
    engine = SayingEngine(lambda text: "A" if "非医学" in text else "不知道")
    made = plan(tmp_path / "out", {"choice": choices}, coverage=0.6)
    (scores,) = run(made, LocalSystem("甲", engine, Training())).scores
    letter = scores.figures["letter"]
    assert (letter.n, letter.unscored, letter.withheld, letter.value) == (6, 6, True, None)


def test_an_adapters_data_is_known_by_its_hash(tmp_path: Path) -> None:
    row = {"instruction": "问", "output": "答"}
    kept, changed = (written(tmp_path / f"{name}.jsonl", [row]) for name in ("kept", "changed"))
    manifest = {
        "data": {str(kept): sha256_file(kept), str(changed): "0" * 64, "gone.jsonl": "1" * 64},
        "valid_ids": ["v"],
    }
    found = training_of(tmp_path, manifest)
    assert found.files == (kept,)
    assert set(found.gone) == {str(changed), "gone.jsonl"}
    assert "gone.jsonl" in found.account
    assert found.held_out == {"v"}
    assert training_of(tmp_path, manifest, [changed]).files == (changed,)
    assert "没有记下" in training_of(tmp_path, None).account


def test_what_an_adapter_was_not_taught_is_not_read_as_its_rows(tmp_path: Path) -> None:
    rows = written(tmp_path / "rows.jsonl", [{"instruction": "问", "output": "答"}])
    names = tmp_path / "names.txt"
    names.write_text("偏头痛\n", encoding="utf-8")
    told = {str(path): sha256_file(path) for path in (rows, names)}
    assert training_of(tmp_path, {"data": told, "recipe": {"data": {"names": str(names)}}}).files == (rows,)
    plain = training_of(tmp_path, {"data": {str(names): sha256_file(names)}, "recipe": {"data": {"kind": "text"}}})
    assert plain.files == ()
    assert str(names) in plain.account


def test_a_follow_up_reaches_the_knowledge_base_with_what_was_said_before(tmp_path: Path) -> None:
    rows = [
        {"id": "f", "question": "那吃什么药？", "history": ["偏头痛有什么症状？"], "class": "follow_up",
         "entities": ["偏头痛"], "attributes": ["药物治疗"]},
    ]  # fmt: skip
    path = written(tmp_path / "asked.jsonl", rows)
    with KnowledgeBase.open(grounded_base(tmp_path / "base.kb")) as kb:
        engine = SayingEngine(lambda _: "")
        answerer = Answerer(engine, kb, Policy(path="linker"))
        source = Source(files=(path,), kb=kb, grounded=True)
        made = Plan([TASKS["knowledge"]], {"knowledge": source}, tmp_path / "out")
        (scores,) = run(made, LocalSystem("甲", engine, Training(), answerer=answerer)).scores
        assert [scores.figures[name].value for name in ("entity", "attribute", "hit", "recall")] == [1, 1, 1, 1]
        (verdict,) = read_verdicts(tmp_path / "out", "甲", "knowledge")
        assert (verdict.question, verdict.history) == ("那吃什么药？", ("偏头痛有什么症状？",))

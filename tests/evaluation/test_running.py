"""Tasks × systems: answers are kept, contaminated items stand apart, what tuning forgot is beside the score."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentsao.core.errors import ConfigError, MissingError
from bentsao.core.files import sha256_file
from bentsao.core.splits import learnt_keys
from bentsao.evaluation.contamination import Training, of_files, training_of
from bentsao.evaluation.running import Plan, Report, evaluate, read_verdicts
from bentsao.evaluation.systems import KeptSystem, LocalSystem, System
from bentsao.evaluation.tasks import TASKS
from bentsao.evaluation.tasks.task import Source
from bentsao.inference.grounded import Answerer, Policy
from bentsao.knowledge.store import KnowledgeBase
from bentsao.tuning.data import gather
from bentsao.tuning.pairs import gather_pairs
from bentsao.tuning.recipe import DataPart
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


def test_kept_answers_to_other_questions_are_not_scored(tmp_path: Path, questions: Path) -> None:
    made = plan(tmp_path / "out", {"open": questions})
    run(made, LocalSystem("甲", SayingEngine(lambda _: "答"), Training()))
    questions.write_text(questions.read_text(encoding="utf-8").replace("第3种病应该", "第3种伤应该"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"1 道题当时问的不是现在这一句（open:4"):
        run(made, KeptSystem("甲", "saying", Training()))


ROWS: dict[str, Any] = {
    "open": {"id": "0", "instruction": "问", "output": "答"},
    "cmcoqa": {"question": "问", "ICD-10": "Neoplasms"},
    "safety": {"id": "0", "class": "dose", "split": "test", "question": "问", "say": ["答"], "reason": "为了这个试验"},
}


@pytest.mark.parametrize("name", ROWS)
def test_files_of_one_name_may_have_rows_of_one_id(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    files = tuple(written(tmp_path / folder / "valid.jsonl", [ROWS[name]]) for folder in ("a", "b"))
    system = LocalSystem("甲", SayingEngine(lambda _: "答"), Training())
    made = Plan([TASKS[name]], {name: Source(files=files)}, tmp_path / "out")
    assert run(made, system).scores[0].items == 2
    twice = Plan([TASKS[name]], {name: Source(files=files[:1] * 2)}, tmp_path / "twice")
    with pytest.raises(ConfigError, match="编号"):
        run(twice, system)


def test_contaminated_items_stand_apart(tmp_path: Path, questions: Path) -> None:
    rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    learnt = written(tmp_path / "train.jsonl", [{**rows[0], "id": "t0"}, {**rows[1], "id": "t1", "output": "别的。"}])
    said = {row["instruction"]: row["output"] for row in rows[:2]}
    engine = SayingEngine(lambda text: next((answer for asked, answer in said.items() if asked in text), "不清楚。"))
    training = of_files([learnt])
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
    (scores,) = run(made, LocalSystem("甲", engine, of_files([learnt]))).scores
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


def paths(training: Training) -> list[Path]:
    return [file.path for file in training.files]


def asked(training: Training) -> list[str]:
    return [row.messages[0].content for row in training.conversations]


def manifest_of(files: list[Path], **more: Any) -> dict[str, Any]:
    return {"data": {str(path): sha256_file(path) for path in files}, **more}


def test_only_what_was_learnt_of_a_file_is_looked_at(tmp_path: Path) -> None:
    """The rows are named as tuning names them: what it drew, mixed in and held out is told by what the rows say."""
    own = written(tmp_path / "own.jsonl", [{"instruction": f"问{n}", "output": "答"} for n in range(20)])
    more = written(tmp_path / "more.jsonl", [{"instruction": f"别{n}", "output": "答"} for n in range(20)])
    part = DataPart(files=(str(own),), limit=10, validation=2, mix=(f"{more}:0.2",))
    material = gather(part, 7)
    manifest = manifest_of(
        [own, more],
        learnt=learnt_keys(one.messages for one in material.train),
        valid_ids=[one.id for one in material.valid],
    )
    learnt = sorted(one.messages[0].content for one in material.train)
    assert 0 < len(learnt) < 12
    assert sorted(asked(training_of(tmp_path, manifest))) == learnt


def test_a_dialogue_that_was_merged_into_a_longer_one_was_learnt(tmp_path: Path) -> None:
    said = [{"role": role, "content": f"{role}{n}"} for n in range(2) for role in ("user", "assistant")]
    path = written(tmp_path / "d.jsonl", [{"messages": said[:2]}, {"messages": said}])
    material = gather(DataPart(files=(str(path),), merge_dialogues=True, validation=0), 7)
    assert len(material.train) == 1
    manifest = manifest_of([path], learnt=learnt_keys(one.messages for one in material.train))
    assert len(training_of(tmp_path, manifest).conversations) == 2


def test_ids_that_an_older_manifest_holds_out_may_have_the_files_name_in_front(tmp_path: Path) -> None:
    one, other = (
        written(tmp_path / f"{name}.jsonl", [{"id": "0", "instruction": f"{name}问", "output": "答"}])
        for name in "甲乙"
    )
    found = training_of(tmp_path, manifest_of([one, other], valid_ids=[f"{other}:0"]))
    assert asked(found) == ["甲问"]


def test_an_adapter_of_preferences_learnt_what_was_preferred(tmp_path: Path) -> None:
    rows = [{"prompt": f"问{n}", "chosen": f"好{n}", "rejected": f"坏{n}"} for n in range(3)]
    path = written(tmp_path / "pairs.jsonl", rows)
    found = training_of(tmp_path, manifest_of([path]))
    assert [row.messages[-1].content for row in found.conversations] == ["好0", "好1", "好2"]
    assert not found.account
    pairs = gather_pairs(DataPart(files=(str(path),), validation=1), 7)
    kept = manifest_of([path], learnt=learnt_keys(pair.messages for pair in pairs.train))
    assert sorted(asked(training_of(tmp_path, kept))) == sorted(pair.prompt[0].content for pair in pairs.train)


def test_a_sum_of_adapters_learnt_what_each_part_did(tmp_path: Path) -> None:
    rows = written(tmp_path / "rows.jsonl", [{"instruction": "问", "output": "答"}])
    names, text = tmp_path / "names.txt", tmp_path / "book.txt"
    for path in (names, text):
        path.write_text("偏头痛\n", encoding="utf-8")
    parts = [
        manifest_of([rows, names], recipe={"data": {"names": str(names)}}),
        manifest_of([text], recipe={"data": {"kind": "text"}}),
        {},
    ]
    combined = [{"name": f"a{n}", "tuned": part} for n, part in enumerate(parts)]
    found = training_of(tmp_path, {"combined": combined, **manifest_of([rows, names, text])})
    assert asked(found) == ["问"]
    assert "纯文本微调" in found.account
    assert "a2" in found.account
    older = training_of(tmp_path, {"combined": [{"name": "a"}], **manifest_of([rows, names])})
    assert asked(older) == ["问"]
    assert f"没有在其中查这些题：{names}" in older.account


def test_an_adapters_data_is_known_by_its_hash(tmp_path: Path) -> None:
    row = {"instruction": "问", "output": "答"}
    kept, changed = (written(tmp_path / f"{name}.jsonl", [row]) for name in ("kept", "changed"))
    manifest = {
        "data": {str(kept): sha256_file(kept), str(changed): "0" * 64, "gone.jsonl": "1" * 64},
        "valid_ids": ["v"],
    }
    found = training_of(tmp_path, manifest)
    assert paths(found) == [kept]
    assert set(found.gone) == {str(changed), "gone.jsonl"}
    assert "gone.jsonl" in found.account
    assert paths(training_of(tmp_path, manifest, [changed])) == [changed]
    assert "没有记下" in training_of(tmp_path, None).account


def test_what_an_adapter_was_not_taught_is_not_read_as_its_rows(tmp_path: Path) -> None:
    rows = written(tmp_path / "rows.jsonl", [{"instruction": "问", "output": "答"}])
    names = tmp_path / "names.txt"
    names.write_text("偏头痛\n", encoding="utf-8")
    told = {str(path): sha256_file(path) for path in (rows, names)}
    assert training_of(tmp_path, {"data": told, "recipe": {"data": {"names": str(names)}}}).files[0].path == rows
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

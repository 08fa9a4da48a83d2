"""The experiment's questions: about the entities that are left, in patterns for testing; by hand with all faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentsao.construction.grammar import is_held_out, load_grammar, pattern_id
from bentsao.construction.subjects import gather
from bentsao.core.errors import DataError
from bentsao.core.records import Conversation, Message
from bentsao.evaluation.questions import by_hand, composed, named_in, sample
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase
from tests.docs.fences import ROOT
from tests.knowledge.bases import entity, put


@pytest.fixture(scope="module")
def kb():
    with KnowledgeBase.open(sample_kb(lambda _: None)) as store:
        yield store


def test_composed_questions_keep_off_what_was_learnt(kb: KnowledgeBase):
    material = gather(kb, load_grammar())
    learnt = {"偏头痛", "布洛芬"}
    questions = composed(material, load_grammar(), 60, seed=1, limit=lambda s: s.name not in learnt)
    assert {"plain", "several", "follow_up", "unknown", "premise_true", "premise_false"} <= {q.kind for q in questions}
    assert not learnt & {name for q in questions for name in q.entities}
    pairs = [q.pair for q in questions if q.pair]
    assert all(pairs.count(pair) == 2 for pair in pairs)
    assert all(q.facts for q in questions if q.kind in ("plain", "several", "compare", "follow_up"))


def test_test_patterns_are_no_training_patterns():
    grammar = load_grammar()
    train, test = grammar.part("train"), grammar.part("test")
    for key, one in grammar.attributes.items():
        for pattern in (*one.lay, *one.yes_no, *one.follow_up):
            in_test = any(pattern in getattr(test.attributes[key], name) for name in ("lay", "yes_no", "follow_up"))
            in_train = any(pattern in getattr(train.attributes[key], name) for name in ("lay", "yes_no", "follow_up"))
            assert (in_test, in_train) == (is_held_out(pattern), not is_held_out(pattern)), pattern_id(pattern)


def test_names_in_any_place_of_a_training_row_count(kb: KnowledgeBase):
    material = gather(kb, load_grammar())
    row = Conversation(
        id="1",
        group="x",
        messages=(
            Message(role="user", content="问点事"),
            Message(role="assistant", content="要与脑卒中、芬必得区分。"),
        ),
    )
    assert named_in([row], material) >= {"布洛芬"}


def test_faults_of_a_file_come_together(kb: KnowledgeBase, tmp_path: Path):
    rows = [
        {"id": "1", "question": "偏头痛怎么办？", "class": "plain", "entities": ["偏头痛"], "attributes": ["药物治疗"]},
        {"id": "2", "question": "偏头痛几级？", "class": "plain", "entities": ["偏头痛"], "attributes": ["治愈率"]},
        {"id": "3", "question": "没有类别", "entities": [], "attributes": []},
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        by_hand(path, kb)
    assert [fault.line for fault in caught.value.faults] == [2, 3]


def test_a_sample_keeps_pairs_together(kb: KnowledgeBase):
    questions = composed(gather(kb, load_grammar()), load_grammar(), 40, seed=2, limit=lambda _: True)
    chosen = sample(questions, 20, 7)
    assert 20 <= len(chosen) <= 21
    pairs = [q.pair for q in chosen if q.pair]
    assert all(pairs.count(pair) == 2 for pair in pairs)
    assert chosen == sample(questions, 20, 7)


@pytest.mark.parametrize("name", ["everyday", "blind"])
def test_the_projects_own_questions_can_be_read(name: str, tmp_path: Path) -> None:
    """With a base that has what they ask for."""
    path = ROOT / "benchmarks" / f"{name}_questions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known: dict[str, dict[str, str]] = {}
    for row in rows:
        for one in row["entities"]:
            known.setdefault(one, {}).update(dict.fromkeys(row["attributes"], "甲"))
    made = [entity(one, *facts.items(), kind="other", row=row) for row, (one, facts) in enumerate(known.items())]
    put(tmp_path / "kb", "甲", *made)
    with KnowledgeBase.open(tmp_path / "kb") as kb:
        assert [gold.id for gold in by_hand(path, kb)] == [row["id"] for row in rows]


def test_a_misspelt_class_is_told(kb: KnowledgeBase, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    row = {"id": "1", "question": "感冒怎么办", "entities": [], "attributes": [], "class": "plan"}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(DataError, match="class"):
        by_hand(path, kb)

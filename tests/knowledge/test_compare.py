"""Comparing two knowledge bases: what is added, changed and gone, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bentsao.knowledge.compare import Change, compare
from bentsao.knowledge.rows import EntityRow, Row
from bentsao.knowledge.store import KnowledgeBase
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, TRIAL, entity, put


def changes(folder: Path, before: list[Row], after: list[Row]) -> list[Change]:
    put(folder / "before.sqlite", "旧", *before)
    put(folder / "after.sqlite", "新", *after)
    with (
        KnowledgeBase.open(folder / "before.sqlite") as old,
        KnowledgeBase.open(folder / "after.sqlite") as new,
    ):
        return list(compare(old, new))


def test_the_same_contents_from_other_sources_in_another_order_are_the_same(tmp_path: Path) -> None:
    assert isinstance(COLD, EntityRow)
    turned = replace(COLD, facts=COLD.facts[::-1], aliases=COLD.aliases[::-1], row=99)
    assert changes(tmp_path, [COLD, APPENDICITIS, TRIAL], [TRIAL, APPENDICITIS, turned]) == []


def test_entities_and_their_facts_are_added_and_gone(tmp_path: Path) -> None:
    found = changes(tmp_path, [COLD], [COLD, FEVER])
    assert found == [
        Change(what="entity", change="added", subject="发热", kind="symptom", after=("发热",)),
        Change(what="alias", change="added", subject="发热", kind="symptom", after=("发烧",)),
        Change(
            what="fact",
            change="added",
            subject="发热",
            kind="symptom",
            attribute="相关疾病",
            after=("感冒",),
            sources=("新 新.jsonl:5",),
        ),
    ]
    back = changes(tmp_path / "back", [COLD, FEVER], [COLD])
    assert [(one.what, one.change, one.before, one.after) for one in back] == [
        ("entity", "gone", ("发热",), ()),
        ("alias", "gone", ("发烧",), ()),
        ("fact", "gone", ("感冒",), ()),
    ]
    assert back[2].sources == ("旧 旧.jsonl:5",)


def test_a_fact_changes_by_its_values_under_one_condition(tmp_path: Path) -> None:
    before = entity("感冒", ("药物治疗", "甲药"), ("药物治疗", "乙药"), ("药物治疗", "丙药", "儿童"), ("病因", "病毒"))
    after = entity("感冒", ("药物治疗", "乙药"), ("药物治疗", "丁药"), ("药物治疗", "丙药", "孕妇"), ("病因", "病毒"))
    found = changes(tmp_path, [before], [after])
    assert [(one.change, one.attribute, one.qualifier, one.before, one.after) for one in found] == [
        ("changed", "药物治疗", None, ("甲药", "乙药"), ("乙药", "丁药")),
        ("gone", "药物治疗", "儿童", ("丙药",), ()),
        ("added", "药物治疗", "孕妇", (), ("丙药",)),
    ]


def test_entities_of_one_name_and_two_kinds_are_two(tmp_path: Path) -> None:
    found = changes(tmp_path, [entity("头痛")], [entity("头痛", kind="symptom")])
    assert [(one.what, one.change, one.kind) for one in found] == [
        ("entity", "gone", "disease"),
        ("entity", "added", "symptom"),
    ]


def test_passages_are_compared_by_their_identifier(tmp_path: Path) -> None:
    revised = replace(TRIAL, title="另一个标题", text="更正后的结论。")
    found = changes(tmp_path, [TRIAL], [revised, replace(TRIAL, identifier="", title="新的", text="没有编号。")])
    assert [(one.what, one.change, one.subject, one.before, one.after) for one in found] == [
        ("passage", "changed", "另一个标题", (TRIAL.text,), ("更正后的结论。",)),
        ("passage", "added", "新的", (), ("没有编号。",)),
    ]

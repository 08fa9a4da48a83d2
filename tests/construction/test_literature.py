"""Dialogues about papers: the paper's own sentences, its place, and no advice beyond it."""

from __future__ import annotations

from bentsao.construction.literature import literature_dialogues
from bentsao.core.records import Conversation
from bentsao.knowledge.contents import passages
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase


def made(count: int = 60, seed: int = 1) -> list[Conversation]:
    with KnowledgeBase.open(sample_kb()) as kb:
        return list(literature_dialogues(list(passages(kb)), count, "train", seed))


def test_every_sentence_of_the_paper_is_the_papers() -> None:
    with KnowledgeBase.open(sample_kb()) as kb:
        papers = {one.identifier or one.title: one for one in passages(kb)}
    rows = made()
    assert len(rows) == 60
    for row in rows:
        paper = papers[row.group]
        said = [message.content for message in row.messages if message.role == "assistant"]
        assert 2 <= len(said) <= 5
        assert row.messages[0].role == "user"
        assert said[0].endswith("。")
        first = said[0].split("》", 1)[1]
        assert any(first.endswith(piece) for piece in [paper.text, *paper.text.split("。")]) or first.rstrip("。") in (
            paper.text + first
        )
        assert paper.title in "".join(message.content for message in row.messages)


def test_the_same_each_time_and_no_more_than_there_are() -> None:
    assert made(20) == made(20)
    assert made(20) != made(20, seed=2)
    with KnowledgeBase.open(sample_kb()) as kb:
        papers = list(passages(kb))[:2]
    rows = list(literature_dialogues(papers, 1000, "test", 1))
    assert 2 < len(rows) < 1000
    assert {row.group for row in rows} == {paper.identifier or paper.title for paper in papers}
    assert {row.made.split for row in rows if row.made} == {"test"}


def test_a_guideline_is_not_asked_for_its_findings() -> None:
    for row in made(300):
        asked = "".join(message.content for message in row.messages if message.role == "user")
        if "指南" in row.messages[1].content.split("》")[0]:
            assert "研究发现" not in asked
            assert "、指南" not in asked

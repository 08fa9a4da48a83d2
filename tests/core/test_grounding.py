"""The grounding words: what goes in comes out, and no value writes lines of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.grounding import (
    Gap,
    abstention,
    ask_answer,
    ask_entity,
    cited_numbers,
    fact_line,
    named,
    names_in,
    number_facts,
    without_marks,
)
from bentsao.core.records import Fact, Source

SOURCE = Source(name="试验")
names = st.text(st.characters(categories=("Lo", "Lu", "Nd")), min_size=1, max_size=6).filter(lambda n: n != "无")


def fact(*values: str, qualifier: str | None = None) -> Fact:
    return Fact(subject="偏头痛", attribute="药物治疗", values=values, source=SOURCE, qualifier=qualifier)


@given(st.lists(names, max_size=4, unique=True))
def test_names_written_are_names_read(written: list[str]) -> None:
    assert names_in(named(written, "entity").content) == tuple(written)


def test_only_the_first_line_of_a_reply_counts() -> None:
    assert names_in("偏头痛｜胃溃疡。\n偏头痛是……") == ("偏头痛", "胃溃疡")
    assert names_in("无") == names_in("") == ()


@given(st.text(), st.text(), st.text())
def test_nothing_said_or_known_adds_a_line(question: str, value: str, qualifier: str) -> None:
    evidence = number_facts([fact(value, qualifier=qualifier or None)])
    assert ask_answer(evidence).content.count("\n") == 2
    assert ask_entity(question, [value]).content.count("\n") == 2


def test_a_fact_says_its_condition() -> None:
    assert (
        fact_line(fact("氟桂利嗪", "普萘洛尔", qualifier="预防发作"))
        == "偏头痛的药物治疗（预防发作）：氟桂利嗪；普萘洛尔"
    )


def test_gaps_are_said_in_the_prompt_and_in_the_abstention() -> None:
    gaps = [Gap("蓝血病"), Gap("偏头痛", "治愈率"), Gap("偏头痛", "死亡率")]
    assert "未查到：蓝血病\n未查到：偏头痛的治愈率" in ask_answer([], gaps).content
    assert abstention(gaps).startswith("知识库没有收录“蓝血病”；知识库里没有“偏头痛”的治愈率、死亡率。")
    assert "具体的名称" in abstention([])


def test_marks() -> None:
    text = "头痛[2]，恶心[1][2]。"
    assert cited_numbers(text) == (2, 1)
    assert without_marks(text) == "头痛，恶心。"

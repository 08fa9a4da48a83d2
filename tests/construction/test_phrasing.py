"""Values in sentences: lists, conditions, marks."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.construction.grammar import AttributeGrammar, filled
from bentsao.construction.phrasing import answering, cited, listed, stated, tidy
from tests.construction.materials import fact

WORDS = st.text("鼻塞流涕发热痛肿，、；和", min_size=1, max_size=20).filter(lambda text: text.strip("，、；和") == text)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("鼻塞",), "鼻塞"),
        (("鼻塞", "流涕"), "鼻塞和流涕"),
        (("鼻塞", "流涕", "发热"), "鼻塞、流涕和发热"),
        (("恶心和呕吐", "脱发"), "恶心和呕吐；脱发"),
        (("多饮水，多休息", "忌酒"), "多饮水，多休息；忌酒"),
        (("普外科", "疝与腹壁外科"), "普外科和疝与腹壁外科"),
        (("一般预后良好。", "易复发；"), "一般预后良好和易复发"),
    ],
)
def test_values_are_listed_as_people_list_them(values: tuple[str, ...], said: str) -> None:
    assert listed(values) == said


def test_half_sentences_stand_apart() -> None:
    assert listed(("易复发", "预后差"), apart=True) == "易复发；预后差"
    assert cited([fact("甲", "预后状况", "易复发", "预后差")]) == ("易复发；预后差", "[1]")
    assert cited([fact("甲", "病因", "感染", "过敏")], first=4) == ("感染和过敏", "[4]")


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=6), st.booleans())
def test_every_value_is_in_its_list(values: list[str], apart: bool) -> None:
    said = listed(values, apart=apart)
    assert all(value.rstrip("；") in said for value in values)
    assert len(said) <= sum(map(len, values)) + len(values) - 1


def test_several_facts_bring_their_own_marks() -> None:
    facts = [fact("甲", "药物治疗", "丙", "丁"), fact("甲", "药物治疗", "戊", qualifier="儿童")]
    assert cited(facts, first=3) == ("丙和丁[3]；儿童：戊[4]", "")


def test_a_condition_is_said_with_its_value() -> None:
    patterns = AttributeGrammar(name="药物治疗", kind="disease", short=("用药",), answer=("{e}可用{values}{cite}。",))
    facts = [fact("感冒", "药物治疗", "甲药"), fact("感冒", "药物治疗", "乙药", qualifier="儿童")]
    said = stated(patterns, "伤风", facts, random.Random(0), first=2)
    assert said.startswith("伤风可用甲药[2]。")
    assert said.endswith("儿童：乙药[3]。")
    alone = stated(patterns, "伤风", facts[1:], random.Random(0))
    assert alone == "伤风的用药，儿童：乙药[1]。"


def test_a_second_source_is_a_second_sentence() -> None:
    patterns = AttributeGrammar(name="病因", kind="disease", short=("病因",), answer=("{e}的病因是{values}{cite}。",))
    said = stated(patterns, "感冒", [fact("感冒", "病因", "病毒"), fact("感冒", "病因", "受凉")], random.Random(1))
    first, second, rest = said.split("。")
    assert (first, rest) == ("感冒的病因是病毒[1]", "")
    assert second.endswith("受凉[2]")


def test_no_sentence_begins_with_several_cases() -> None:
    patterns = ("{values}，这是{e}的病因{cite}。", "{e}的病因是{values}{cite}。")
    assert {answering(patterns, "", random.Random(seed)) for seed in range(20)} == {patterns[1]}
    assert {answering(patterns, "[1]", random.Random(seed)) for seed in range(20)} == set(patterns)
    assert answering(patterns[:1], "", random.Random(0)) == patterns[0]


@settings(deadline=None)
@given(st.text("甲乙，。；：、！？", max_size=30))
def test_tidy_only_takes_punctuation_away(text: str) -> None:
    neat = tidy(text)
    assert re.sub(r"\W", "", neat) == re.sub(r"\W", "", text)
    assert not re.search(r"([，。；：、？！])\1|。[；，]", neat)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=12))
def test_what_is_filled_in_is_not_filled_again(value: str) -> None:
    assert filled("{e}的{v}", e=value, v="{e}") == f"{value}的{{e}}"

from __future__ import annotations

import pytest

from bentsao.knowledge.linking.index import NameIndex
from bentsao.knowledge.linking.mentions import Reading, read
from bentsao.knowledge.normalise import normalise


def _read(text: str, index: NameIndex) -> Reading:
    return read(normalise(text).text, index)


def _keys(text: str, index: NameIndex) -> list[str]:
    return [mention.key for mention in _read(text, index).mentions if not mention.partial]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("急性阑尾炎怎么治", ["急性阑尾炎"]),
        ("阑尾炎怎么治", ["阑尾炎"]),
        ("糖尿病肾病和糖尿病", ["糖尿病肾病", "糖尿病"]),
        ("Ⅱ型糖尿病吃什么", ["2型糖尿病"]),
        ("得了急性 阑尾炎", ["急性阑尾炎"]),
        ("Fabry 病是什么", ["fabry病"]),
        ("失眠怎么办", ["失眠"]),
        ("", []),
    ],
)
def test_the_longest_name_counts(index: NameIndex, text: str, keys: list[str]) -> None:
    assert _keys(text, index) == keys


def test_a_latin_name_is_a_whole_word(index: NameIndex) -> None:
    assert _keys("AD怎么治", index) == ["ad"]
    assert _keys("ADHD怎么治", index) == []
    assert _keys("做CT吗", index) == ["ct"]
    assert _keys("pct高", index) == []


def test_a_name_of_one_character_stands_alone(index: NameIndex) -> None:
    assert _keys("得了痔怎么办", index) == ["痔"]
    assert _keys("痔痂脱落", index) == []


def test_a_mere_quality_is_no_name(index: NameIndex) -> None:
    assert _keys("是局限性的吗", index) == []


@pytest.mark.parametrize(
    "text",
    [
        "阑尾炎癌怎么治",  # goes on to another term
        "火星性阑尾炎怎么治",  # is the end of another one
        "非阑尾炎",
        "糖尿病性水肿",
        "感冒清热散片怎么吃",
        "左氧氟沙星的副作用",
    ],
)
def test_a_part_of_a_longer_term_is_marked(index: NameIndex, text: str) -> None:
    assert _keys(text, index) == []
    assert any(mention.partial for mention in _read(text, index).mentions)


@pytest.mark.parametrize("text", ["糖尿病症", "阿司匹林钠片", "我妈高血压", "得了阑尾炎病", "糖尿病性幽门梗阻"])
def test_what_changes_nothing_is_no_longer_term(index: NameIndex, text: str) -> None:
    assert len(_keys(text, index)) == 1


def test_what_nothing_explains_is_open(index: NameIndex) -> None:
    reading = _read("我妈得了兰尾炎要挂什么科", index)
    left = "".join(character for character, free in zip(reading.text, reading.open, strict=True) if free)
    assert left == "兰尾炎"
    assert reading.unclear
    assert not _read("我妈得了阑尾炎要挂什么科", index).unclear


def test_a_complaint_inside_a_cue_is_no_mention(index: NameIndex) -> None:
    assert _keys("布洛芬会不会头晕", index) == ["布洛芬"]

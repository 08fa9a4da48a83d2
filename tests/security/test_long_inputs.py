"""Texts made to be slow: what reads a question takes time in step with its length, whatever stands in it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bentsao.inference.safety import caution, look
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.linking.stretches import Stretches, codes_of
from bentsao.knowledge.verify import KnownNames, verify
from tests.knowledge.verify.verifying import MIGRAINE

NAMES = ("布洛芬", "偏头痛", "发热", "头痛", "糖尿病", "头部CT")
REPEATED = (
    *NAMES,
    "布洛芬怎么吃",
    "头痛吃什么药好吗",
    "我妈老是头晕要挂什么科，",
    "吃",
    "a",
    "1",
    "胸痛没有",
    "不",
    "\n",
)
LENGTH = 4000


@pytest.fixture(scope="module")
def linker() -> Linker:
    kinds = ("drug", "disease", "symptom", "symptom", "disease", "examination")
    return Linker.build((name, place, kind, True) for place, (name, kind) in enumerate(zip(NAMES, kinds, strict=True)))  # type: ignore[misc]


def seconds(do: Callable[[], object]) -> float:
    started = time.process_time()
    do()
    return time.process_time() - started


@pytest.mark.parametrize("piece", REPEATED)
def test_no_text_is_slow_to_link(linker: Linker, piece: str) -> None:
    """1,000 characters of 布洛芬 took 19 s, and 4,000 some minutes."""
    text = (piece * LENGTH)[:LENGTH]
    linker.link(piece)
    assert seconds(lambda: linker.link(text)) < 3
    assert seconds(lambda: linker.link("那怎么治？", [text] * 50)) < 3


def test_what_was_said_long_ago_is_not_read(linker: Linker) -> None:
    """Else each question would read the whole of a long conversation again."""
    assert linker.link("那怎么治？", ["偏头痛", "你好。"]).entities[0].name == "偏头痛"
    assert not linker.link("那怎么治？", ["偏头痛", "你好。" * 3000]).entities


def test_long_questions_leave_nothing_in_memory() -> None:
    """Arrays of a text's length times the longest name's were kept for 256 lengths."""
    from bentsao.knowledge.linking.stretches import _places_of_questions  # pyright: ignore[reportPrivateUsage]

    before = _places_of_questions.cache_info().currsize
    for length in range(3000, 3010):
        Stretches(codes_of("头" * length), 30).hashes()
    assert _places_of_questions.cache_info().currsize == before


@pytest.mark.parametrize("piece", [*REPEATED, "喘不了气", "呕吐不止", "没有吐，"])
def test_no_text_is_slow_to_look_at(piece: str) -> None:
    text = (piece * LENGTH)[:LENGTH]
    assert seconds(lambda: look(text)) < 2
    assert seconds(lambda: caution(text)) < 2


def test_no_short_text_is_slow_to_look_at() -> None:
    """A regular expression that could be read in many ways: 60 characters took half a minute, 70 an hour."""
    text = "我没有" + "、头" * 30 + "血血血血血血血血血剧烈胸痛"
    assert seconds(lambda: look(text)) < 1


@pytest.mark.parametrize(
    "piece", ["恶心、", "布洛芬和", "偏头痛会恶心", "口服0.5g", "每日3次，", "不是", "（", "1-", "\n"]
)
def test_no_text_is_slow_to_verify(piece: str) -> None:
    """An answer of 1,024 tokens is some 2,000 characters."""
    text = (piece * 2000)[:2000]
    names = KnownNames(["布洛芬", "偏头痛", "恶心", "脑梗死"])
    assert seconds(lambda: verify(text, MIGRAINE, vocabulary=names)) < 2

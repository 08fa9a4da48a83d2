from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.evaluation.letters import read_letters

OPTIONS = ("卵巢", "前庭大腺", "前庭球", "乳腺")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("A", 0),
        ("B.", 1),
        ("Ｃ", 2),
        ("（D）", 3),
        ("A. 卵巢", 0),
        ("答案是B", 1),
        ("正确答案：C。", 2),
        ("**答案：D**", 3),
        ("本题应选 B，因为前庭大腺是附属腺。", 1),
        ("故选C。", 2),
        ("女性的生殖腺是卵巢。", 0),
        ("先看 B，前庭大腺不是生殖腺；答案是 A。", 0),
        ("选择A", 0),
        ("D\nA. 卵巢\nB. 前", 3),
        ("A\n答案：\n答：", 0),
        ("The answer is C.", 2),
        ("正确答案是B。选项A错误，因为它会引起出血。", 1),
        ("选项B正确，选项A错误。", 1),
        ("选项A错误。选项B正确。", 1),
        ("正确答案：B。选项D不正确", 1),
        ("B。选项A是干扰项。", 1),
        ("首选A类药物，因此答案B", 1),
        ("答案是C，有人选A。", 2),
        ("答案是A吗？A不正确，故选D。", 3),
        ("答案A不对，答案为B。", 1),
    ],
)
def test_what_a_reply_names(reply: str, expected: int) -> None:
    assert read_letters(reply, OPTIONS, several=False) == (expected,)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "我不知道。",
        "E",
        "A和B",
        "答案是A或B",
        "The answer is A or B",
        "选项A是动脉，选项B是静脉。",
        "选项A错误，选项B不符合题意。",
        "首选A类药物。",
        "答案是AB",
        "A. 卵巢\nB. 前庭大腺\nC. 前庭球\nD. 乳腺",
        "DNA 是遗传物质",
        "B12 缺乏",
        "前庭大腺和乳腺都是。",
        "不能选B",
        "A. 卵巢\nB. 前庭大腺\nC",
        "CT 检查",
        "单项选择题，请直接给出正确答案的选项。\n女性生殖腺是\nA. 卵巢\nB. 前庭大腺\nC. 前庭球\nD. 乳腺\n答案：",
    ],
)
def test_what_is_no_answer_is_not_guessed(reply: str) -> None:
    assert read_letters(reply, OPTIONS, several=False) is None


@pytest.mark.parametrize("reply", ["ACD", "A、C、D", "答案：A，C，D", "A C D", "正确选项是 ACD。"])
def test_several_answers(reply: str) -> None:
    assert read_letters(reply, OPTIONS, several=True) == (0, 2, 3)


def test_long_replies_take_no_longer_than_their_length() -> None:
    """A quadratic reading of 200,000 characters would take minutes."""
    for unit in ("选A或", "答案", "选项A、", "A ", "选项A错误，", "不", "正确答案是：", "the answer "):
        started = time.perf_counter()
        read_letters(unit * (200_000 // len(unit)), OPTIONS, several=True)
        assert time.perf_counter() - started < 2


def test_an_option_within_another_is_not_said_beside_it() -> None:
    assert read_letters("前庭大腺导管。", ("腺", "前庭大腺"), several=False) == (1,)


@given(st.text(max_size=60))
def test_never_names_what_is_not_there(reply: str) -> None:
    for several in (False, True):
        found = read_letters(reply, OPTIONS, several=several)
        assert found is None or (found and set(found) <= set(range(4)) and list(found) == sorted(set(found)))


def test_a_sentence_that_was_cut_may_have_gone_on_to_other_options() -> None:
    options = ("为心的正常起搏点", "与房室结无联系")
    reply = "窦房结、为心的正常起搏点和与房室结无"
    assert read_letters(reply, options, several=False) == (0,)
    assert read_letters(reply, options, several=False, cut=True) is None
    assert read_letters("为心的正常起搏点。因为", options, several=False, cut=True) == (0,)
    assert read_letters("选B，因为", options, several=False, cut=True) == (1,)

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.knowledge.normalise import normalise


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("２型糖尿病", "2型糖尿病"),
        ("Ⅱ型糖尿病", "2型糖尿病"),
        ("II 型 糖尿病", "2型糖尿病"),
        ("二型糖尿病", "2型糖尿病"),
        ("十二型", "12型"),
        ("二十型", "20型"),
        ("第三腰椎", "第3腰椎"),
        ("十二指肠溃疡", "十二指肠溃疡"),
        ("三七片", "三七片"),
        ("百日咳", "百日咳"),
        ("一天三次", "1天3次"),
        ("凝血因子VIII缺乏", "凝血因子8缺乏"),
        ("凝血因子Ⅷ缺乏", "凝血因子8缺乏"),
        ("ＨＩＶ感染", "hiv感染"),
        ("屬於醫保嗎？", "属于医保吗?"),
        ("頭暈噁心、癥狀", "头晕恶心、症状"),
        ("Ménière 病", "meniere病"),
        ("格林－巴利综合症", "格林巴利综合征"),
        ("HELLP 综合征", "hellp综合征"),
        ("vitamin  B12", "vitamin b12"),
        ("Helicobacter pylori 感染", "helicobacter pylori感染"),
        ("1-2个月", "1-2个月"),
        ("1，25-二羟维生素Ｄ", "1,25二羟维生素d"),
        ("5 mg", "5mg"),
        ("10 20", "10 20"),
        ("（黏膜）", "(粘膜)"),
        ("阑\u200b尾炎", "阑尾炎"),
        ("甲\r\n乙", "甲\n\n乙"),
        ("\ud800病", "\ufffd病"),
        ("", ""),
    ],
)
def test_one_way_of_writing(written: str, normal: str) -> None:
    assert normalise(written).text == normal


def test_ordinary_words_that_look_like_numerals_or_romans_stay() -> None:
    for text in ("一般治疗", "五官科", "三叉神经痛", "六味地黄丸", "ivf", "mix", "x综合征", "万一次"):
        assert normalise(text).text == text


def test_the_place_in_the_original_is_known() -> None:
    original = "我　得了 II 型 糖尿病－怎么办"
    normal = normalise(original)
    start = normal.text.index("2型糖尿病")
    begin, end = normal.span(start, start + len("2型糖尿病"))
    assert original[begin:end] == "II 型 糖尿病"


def test_what_grows_and_what_shrinks_keeps_its_place() -> None:
    original = "㎎与十二型"
    normal = normalise(original)
    assert normal.text == "mg与12型"
    assert normal.span(0, 2) == (0, 1)
    assert normal.span(3, 5) == (2, 4)
    assert normal.span(5, 6) == (4, 5)


@settings(deadline=None)
@given(
    st.text(alphabet=st.one_of(st.characters(), st.sampled_from("一二十两第型期ⅡIiVvXx-· 病症综合癥１2")), max_size=30)
)
def test_normal_text_is_normal_and_keeps_its_places(text: str) -> None:
    normal = normalise(text)
    assert normalise(normal.text).text == normal.text
    assert len(normal.starts) == len(normal.ends) == len(normal.text)
    assert list(normal.starts) == sorted(normal.starts)
    assert list(normal.ends) == sorted(normal.ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(normal.starts, normal.ends, strict=True))

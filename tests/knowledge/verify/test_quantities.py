"""Figures with units as quantities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.verify.quantities import DAY, MONTH, UNITS, Quantity, compare, quantities


def read(text: str) -> list[Quantity]:
    return list(quantities(normalise(text).text))


def one(text: str) -> Quantity:
    (found,) = read(text)
    return found


def agreement(said: str, known: str, *, whole: bool = False) -> str | None:
    return compare(one(said), one(known), whole=whole)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("0.5g", "500mg"),
        ("0.5 克", "500 毫克"),
        ("０．５ｇ", "500㎎"),
        ("500μg", "0.5mg"),
        ("每日3次", "一天三次"),
        ("每日3次", "tid"),
        ("3次/日", "1日3次"),
        ("每8小时1次", "q8h"),
        ("每6~8小时一次", "每日3-4次"),
        ("隔日一次", "qod"),
        ("早晚各一次", "bid"),
        ("每晚1次", "qn"),
        ("2~4周", "14-28天"),
        ("两周至四周", "2—4周"),
        ("80万~200万U", "800000-2000000单位"),
        ("80万-200万U", "80万～200万U"),
        ("85%", "百分之八十五"),
        ("1/10万", "0.001%"),
        ("十万分之一", "1/10万"),
        ("半年", "6个月"),
        ("1年", "12个月"),
        ("超过120天", ">120天"),
        ("不超过4g", "≤4000mg"),
        ("40岁以上", "≥40岁"),
        ("10mg/(kg·d)", "10mg/kg/d"),
        ("每日1.5g", "1.5g/d"),
        ("0.5g/次", "500mg"),
        ("1.5万元", "15000元"),
        ("3000 —— 8000元", "3千~8千元"),
        ("3.5~9.5×10⁹/L", "3.5-9.5×10^9/L"),
        ("60～100次/分", "60-100次/分钟"),
        ("一百二十天", "120日"),
        ("1个月", "30天"),
    ],
)
def test_the_same_quantity_in_other_words(a: str, b: str):
    assert agreement(a, b) == "same"
    assert agreement(b, a) == "same"


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("0.5g", "5g"),
        ("每日3次", "每日2次"),
        ("98%", "99%"),
        ("1~6周", "2~4周"),
        ("3-5周", "2~4周"),
        ("5周", "1个月"),
        ("不超过8片", "不超过4片"),
        ("不低于60%", "不低于50%"),
        ("超过3天", "2~4周"),
        ("1.25mg", "1.2mg"),
    ],
)
def test_another_quantity(said: str, known: str):
    assert agreement(said, known) == "apart"


@pytest.mark.parametrize(
    ("said", "known"), [("0.5g", "0.5ml"), ("3天", "3次/日"), ("每日1g", "1g"), ("10mg/kg", "10mg"), ("70%", "70岁")]
)
def test_other_dimensions_are_not_compared(said: str, known: str):
    assert agreement(said, known) is None


def test_within_a_range_but_not_where_the_whole_range_counts():
    assert agreement("15mg", "10～20mg") == "within"
    assert agreement("2~3周", "2~4周") == "within"
    assert agreement("60~80次/分", "60~100次/分", whole=True) == "apart"
    assert agreement("不超过4周", "2~4周") == "same"
    assert agreement("3g", "不超过4g") is None


@pytest.mark.parametrize(
    "text",
    [
        "一般不需要", "十二指肠溃疡", "三叉神经痛", "百日咳", "2型糖尿病", "18导联心电图", "第一周", "第3-4天",
        "碘131",
        "前列腺素E1", "5-HT", "3月5日", "再次复查", "进行1次检查", "多次发作", "半月板损伤", "120/80",
        "一日三餐", "二尖瓣",
    ],
)  # fmt: skip
def test_what_is_no_quantity(text: str):
    assert read(text) == []


def test_every_quantity_of_a_text_in_its_place():
    text = normalise("口服，每次0.5～1g，每日3次，疗程2周；治愈率约85%。").text
    assert [text[found.start : found.end] for found in quantities(text)] == ["0.5~1g", "每日3次", "2周", "85%"]


def test_bounds():
    assert (one("超过120天").low, one("超过120天").high) == (120 * DAY, math.inf)
    assert one("不超过4g").low == -math.inf
    assert (one("1-2个月").low, one("1-2个月").high) == (MONTH, 2 * MONTH)


UNIT = st.sampled_from(
    [(unit, dimension) for dimension, units in UNITS.items() for unit in units if dimension != "times"]
)
FIGURE = st.integers(1, 9999).map(lambda figure: figure / 100)


@given(figure=FIGURE, unit=UNIT)
def test_every_unit_is_read(figure: float, unit: tuple[str, str]):
    found = one(f"约为{figure}{unit[0]}。")
    assert found.dimension == unit[1]
    assert found.low == found.high == pytest.approx(figure * UNITS[unit[1]][unit[0]])


@given(figure=FIGURE, factor=st.sampled_from([0.1, 0.5, 0.9, 1.01, 1.1, 2, 10, 1000]))
def test_a_dose_in_another_unit_is_the_same_and_times_any_factor_is_not(figure: float, factor: float):
    assert agreement(f"{figure}g", f"{figure * 1000:.4f}mg") == "same"
    assert agreement(f"{figure * factor:.6f}g", f"{figure}g") == "apart"


@given(st.integers(1, 99))
def test_chinese_numerals(number: int):
    tens, ones = divmod(number, 10)
    digits = " 一二三四五六七八九"
    words = ((digits[tens] if tens > 1 else "") + "十" if tens else "") + (digits[ones] if ones else "")
    assert agreement(f"{words}分钟", f"{number}分钟") == "same"


@given(st.text("0123456789.,~-一二三十百千万半个每日天次gm片克%/岁月以上不超过约至 隔早晚各qd", max_size=30))
def test_any_text_gives_sound_quantities(text: str):
    written = normalise(text).text
    end = 0
    for found in quantities(written):
        assert end <= found.start < found.end <= len(written)
        assert not math.isnan(found.low)
        assert not math.isnan(found.high)
        end = found.end

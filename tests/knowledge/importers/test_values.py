"""What gets in, and why the rest does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.knowledge.importers import values


@pytest.mark.parametrize(
    ("raw", "tidied"),
    [
        (" 偏头痛\u3000", "偏头痛"),
        ("、头痛，", "头痛"),
        ("电解 质紊乱", "电解质紊乱"),
        ("干扰素 α-2b", "干扰素 α-2b"),
        ("13. 5%", "13.5%"),
        ("_金黄色葡萄球菌_ 肺炎", "金黄色葡萄球菌肺炎"),
        ("核磁共振成像(...", "核磁共振成像"),
        ("碱性磷酸酶(ALP", "碱性磷酸酶"),
        ("血清γ-谷氨酰转肽酶）", "血清γ-谷氨酰转肽酶"),
        ("C反应蛋白（CRP）", "C反应蛋白（CRP）"),
        ("(奥松)肚痛泻丸", "(奥松)肚痛泻丸"),
        (".轮状病毒性肠炎", "轮状病毒性肠炎"),
    ],
)
def test_tidy(raw: str, tidied: str) -> None:
    assert values.tidy(raw) == tidied


@given(st.text())
def test_tidying_twice_changes_nothing_that_gets_in(text: str) -> None:
    once = values.tidy(text)
    if values.why_not(once) is None:
        assert values.tidy(once) == once


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("偏头痛", None),
        ("疣", None),
        ("generalized distal renal tubular acidosis", None),
        ("", values.EMPTY),
        ("暂无相关资料", values.PLACEHOLDER),
        ("(尚不明确)", values.PLACEHOLDER),
        ("尚不明确。", values.PLACEHOLDER),
        ("NaN", values.PLACEHOLDER),
        ("盐酸左氧氟沙星...", values.CUT),
        ("应该如何用药？用什么药？", values.PAGE_TEXT),
        ("？？", values.BROKEN),
        ("盐酸地尔硫\ufffd片", values.BROKEN),
        ("偏头\ud800痛", values.BROKEN),
        ("患者应注意休息。避免劳累", values.SENTENCE),
        ("恶心，呕吐，腹痛", values.SENTENCE),
        ("长" * 41, "过长（超过 40 字）"),
    ],
)
def test_why_not(text: str, reason: str | None) -> None:
    assert values.why_not(text) == reason


def test_running_text_and_names_are_judged_more_mildly() -> None:
    assert values.why_not("成人每次10mg，每天3次；儿童减半", running=True) is None
    assert values.why_not("长" * 161, running=True) == "过长（超过 160 字）"
    assert values.why_not("人类疱疹病毒6，7，8型感染性疾病", name=True) is None


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("恶心、呕吐、", ["恶心", "呕吐"]),
        ("胃、十二指肠溃疡", ["胃、十二指肠溃疡"]),
        ("严重肝、肾功能不全、孕妇", ["严重肝、肾功能不全", "孕妇"]),
        ("恶心、口干", ["恶心", "口干"]),
        ("急性肝炎(甲、乙型)、肝硬化", ["急性肝炎(甲、乙型)", "肝硬化"]),
    ],
)
def test_split_list(text: str, items: list[str]) -> None:
    assert values.split_list(text, "、") == items


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("1,000-2,000元", ["1,000-2,000元"]),
        ("1,25-二羟维生素D3,血钙", ["1,25-二羟维生素D3", "血钙"]),
        ("N,N-二甲基甲酰胺,苯", ["N,N-二甲基甲酰胺", "苯"]),
        ("血常规,CT,MRI,T3,T4", ["血常规", "CT", "MRI", "T3", "T4"]),
    ],
)
def test_a_comma_within_a_figure_or_a_name_parts_nothing(text: str, items: list[str]) -> None:
    assert values.split_list(text, ",") == items

"""Suspicious doses: marks of scanning and copying are seen, proper doses are not."""

from __future__ import annotations

import pytest

from bentsao.knowledge.doses import far_apart, suspicious


@pytest.mark.parametrize(
    "value",
    [
        "口服 0.5g 每6~8小时1次",
        "口服：每次0.1～0.2g，每天3次",
        "一次5～10ml；4～7岁一次10～15ml，一日2次",
        "一次1/2～1袋，一日2次",
        "口服 每日总量不超过2g",
        "每次0.5g，每日不超过2g",
        "舌下含服 0.5mg 每5分钟可重复",
        "滴眼 每次1～2滴，每日10～12次",
        "体重51～70kg者，每次0.6ml",
        "静脉滴注：每天按体重1～2mg/kg",
        "口服，一次3～5片，一日3次，或遵医嘱。",
        "肌内注射 每日80万~200万U 分3~4次",
        "于9:05给药",
    ],
)
def test_a_proper_dose_is_not_suspicious(value: str) -> None:
    assert list(suspicious(value)) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("每次0..5g，每天3次", "数字写法可疑"),
        ("每次1.5.2g", "数字写法可疑"),
        ("口服 05mg 每日1次", "数字写法可疑"),
        ("口服：每次10，每日3次", "剂量没有单位：每次10"),
        ("一次2~4。", "剂量没有单位：1次2~4"),
        ("每次10～5mg", "下限大于上限：10~5mg"),
        ("每次0mg", "剂量为 0"),
        ("每次1～100mg", "上下限相差过大：1~100mg"),
        ("先加入10ml500ml葡萄糖注射液", "上下限相差过大"),
        ("每天注射5mg/m", "每平方米（m²）少了平方"),
        ("口服，每次500g", "超过 100 克：500g"),
        ("每日30次", "每天超过 24 次：每日30次"),
        ("每次3g，每日不超过2g", "单次剂量超过每日上限：3g，每日不超过2g"),
    ],
)
def test_what_no_dose_can_be_is_suspicious(value: str, reason: str) -> None:
    found = list(suspicious(value))
    assert len(found) == 1
    assert found[0].startswith(reason)


def test_single_doses_in_different_units_are_far_apart() -> None:
    values = ["每次0.05μg", "成人：每次200～400μg", "每次0.1mg/kg"]
    assert far_apart(values) == ("每次0.05μg", "成人：每次200～400μg")
    assert far_apart(["每次0.5g", "每次5mg"]) is None
    assert far_apart(["每次0.5g"]) is None
    assert far_apart([]) is None

"""The verifier on quantities: doses, times, shares, normal values."""

from __future__ import annotations

import pytest

from bentsao.knowledge.verify import verify
from tests.knowledge.verify.verifying import AMOXICILLIN, MIGRAINE, fact, seen, verdicts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("成人口服每次500mg，每6～8小时一次。", ["supported", "supported"]),
        ("儿童每次0.25g，一天三次。", ["supported", "supported"]),
        ("儿童每次250毫克，tid。", ["supported", "supported"]),
        ("儿童每次0.5g，每日3次。", ["contradicted", "supported"]),
        ("成人每次5g。", ["contradicted"]),
        ("静脉滴注2g，每日2次。", ["supported", "supported"]),
        ("静脉滴注0.25g，每日3次。", ["contradicted", "contradicted"]),
    ],
)
def test_doses(text: str, expected: list[str]):
    assert verdicts(text, AMOXICILLIN) == expected


def test_the_dose_of_one_regimen_with_the_rate_of_another_is_found_out():
    facts = [fact("某药", "用法用量", "0.5g 每日3次"), fact("某药", "用法用量", "1g 每日2次")]
    assert verdicts("每次0.5g，每日2次。", facts) == ["supported", "contradicted"]


def test_the_regimen_that_bears_most_of_a_statement_is_asked_first():
    facts = [fact("某药", "用法用量", "0.5g 每日3次"), fact("某药", "用法用量", "1g 每日2次")]
    assert [claim.value for claim in verify("每次1g，每日2次。", facts).claims] == ["1g 每日2次"] * 2


def test_the_conditions_within_a_sentence_and_within_a_value():
    facts = [
        fact("某药", "用法用量", "0.5g 每日4次", qualifier="成人"),
        fact("某药", "用法用量", "0.25g 每日3次", qualifier="儿童"),
    ]
    assert verdicts("成人每次0.5g，儿童每日3次。", facts) == ["supported"] * 2
    monograph = [fact("某药", "用法用量", "口服给药：1.成人：每次10mg，每天3次。2.儿童：每次5mg，每天2次。")]
    assert verdicts("儿童口服每次5mg。", monograph) == ["supported"]
    assert verdicts("成人口服每次5mg。", monograph) == ["contradicted"]
    assert verdicts("儿童静脉滴注每次5mg。", monograph) == ["beyond"]


def test_a_days_dose_is_worked_out():
    facts = [fact("某药", "用法用量", "0.5g 每日3次")]
    assert verdicts("每日1.5g。", facts) == ["supported"]
    assert verdicts("每日0.5g。", facts) == ["contradicted"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("治疗周期一般为1～2个月。", "supported"),
        ("治疗周期为三十至六十天。", "supported"),
        ("治疗周期约6周。", "supported"),
        ("治疗周期为半年。", "contradicted"),
        ("治愈率约为百分之七十。", "supported"),
        ("治愈率约为90%。", "contradicted"),
        ("死亡率约为70%。", "beyond"),
        ("术后2周拆线。", "beyond"),
        ("费用约3000元。", "beyond"),
    ],
)
def test_times_and_shares(text: str, verdict: str):
    assert verdicts(text, MIGRAINE) == [verdict]


def test_an_answer_of_a_bare_figure_is_held_against_the_only_attribute_asked_for():
    facts = [fact("偏头痛", "治疗周期", "1-2个月")]
    assert verdicts("大约3年。", facts) == ["contradicted"]
    assert verdicts("术后3年复查。", facts) == ["beyond"]
    note = [fact("某药", "注意事项", "皮肤试验前48小时停药")]
    assert verdicts("大约3天。", note) == ["beyond"]


def test_normal_values_belong_to_what_is_measured():
    facts = [fact("血常规", "正常值", "白细胞3.5~9.5×10⁹/L", "血小板125~350×10⁹/L")]
    assert verdicts("白细胞为3.5-9.5×10^9/L。", facts) == ["supported"]
    assert verdicts("血小板为3.5-9.5×10^9/L。", facts) == ["contradicted"]
    assert verdicts("白细胞为4-9×10^9/L。", facts) == ["contradicted"]


def test_the_age_of_the_patient_is_no_claim():
    assert seen("该患者28岁。", MIGRAINE) == []
    assert seen("多发于28岁以上。", [fact("偏头痛", "多发群体", "40岁以上")]) == [("28岁以上", "contradicted")]

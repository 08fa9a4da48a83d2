"""The verifier on what is denied, forbidden, or answered with yes or no."""

from __future__ import annotations

import pytest

from tests.knowledge.verify.verifying import AMOXICILLIN, APPENDICITIS, MIGRAINE, fact, only, seen

# --- negation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "claimed", "verdict"),
    [
        ("偏头痛患者没有恶心。", "恶心", "contradicted"),
        ("偏头痛不会引起恶心、呕吐。", "呕吐", "contradicted"),
        ("并非没有恶心。", "恶心", "supported"),
        ("偏头痛不仅有恶心，而且有呕吐。", "恶心", "supported"),
        ("没有发热但有恶心。", "恶心", "supported"),
        ("不及时治疗可引起脑梗死。", "脑梗死", "supported"),
        ("不推荐使用布洛芬。", "布洛芬", "contradicted"),
        ("应避免过度劳累。", "过度劳累", "supported"),
        ("应避免饮酒。", "避免饮酒", "supported"),
        ("不要饮酒。", "饮酒", "supported"),
        ("可以适量饮酒。", "饮酒", "contradicted"),
        ("恶心不是偏头痛的症状。", "恶心", "contradicted"),
    ],
)
def test_denial(text: str, claimed: str, verdict: str):
    assert only(text, MIGRAINE, claimed) == verdict


def test_a_fact_that_denies():
    facts = [fact("感冒", "临床症状及体征", "无皮疹", "无菌性炎症")]
    assert only("患者无皮疹。", facts, "无皮疹") == "supported"
    assert seen("会出现皮疹。", facts) == [("皮疹", "contradicted")]
    assert seen("可见无菌性炎症。", facts) == [("无菌性炎症", "supported")]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("青霉素过敏者禁用。", "supported"),
        ("青霉素过敏的患者不宜使用。", "supported"),
        ("禁用于青霉素过敏者。", "supported"),
        ("青霉素过敏者可以使用。", "contradicted"),
        ("青霉素过敏者并非禁用。", "contradicted"),
    ],
)
def test_contraindications(text: str, verdict: str):
    assert only(text, AMOXICILLIN, "青霉素过敏") == verdict


# --- statements with yes or no -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "claimed", "verdict"),
    [
        ("偏头痛没有传染性。", "传染性", "supported"),
        ("偏头痛不会传染给家人。", "传染", "supported"),
        ("偏头痛会传染。", "传染", "contradicted"),
        ("偏头痛是传染病。", "传染病", "contradicted"),
        ("偏头痛并非没有传染性。", "传染性", "contradicted"),
        ("偏头痛属于医保疾病。", "医保疾病", "supported"),
        ("偏头痛不属于医保。", "医保", "contradicted"),
        ("偏头痛不能报销。", "报销", "contradicted"),
        ("偏头痛需要手术。", "手术", "beyond"),
        ("偏头痛没有并发症。", "没有并发症", "contradicted"),
    ],
)
def test_statements_on_a_disease(text: str, claimed: str, verdict: str):
    assert only(text, MIGRAINE, claimed) == verdict


@pytest.mark.parametrize(
    ("text", "claimed", "verdict"),
    [
        ("孕妇慎用。", "孕妇", "supported"),
        ("孕妇禁用。", "孕妇", "contradicted"),
        ("孕妇可以放心使用。", "孕妇", "contradicted"),
        ("老年人禁用。", "老年人", "supported"),
        ("老年用药：禁用。", "老年", "supported"),
        ("孕妇用药：禁用。", "孕妇", "contradicted"),
        ("关于孕妇用药，主要是禁用。", "孕妇", "contradicted"),
        ("老年人可用。", "老年人", "contradicted"),
        ("不推荐老年人使用。", "老年人", "supported"),
        ("新生儿禁用。", "新生儿", "beyond"),
        ("本品为处方药。", "处方药", "supported"),
        ("本品为非处方药。", "非处方药", "contradicted"),
        ("没有不良反应。", "没有不良反应", "contradicted"),
    ],
)
def test_statements_on_a_drug(text: str, claimed: str, verdict: str):
    assert only(text, AMOXICILLIN, claimed) == verdict


def test_surgery():
    assert only("急性阑尾炎需要手术。", APPENDICITIS, "手术") == "supported"
    assert only("急性阑尾炎不需要手术。", APPENDICITIS, "手术") == "contradicted"
    assert only("急性阑尾炎无需开刀。", APPENDICITIS, "开刀") == "contradicted"


@pytest.mark.parametrize(
    "text",
    [
        "如果没有并发症，可以出院。",
        "如无并发症，可以出院。",
        "若有传染性，应当隔离。",
        "如果没有恶心，可以观察。",
        "出院标准为无并发症。",
    ],
)
def test_a_supposition_claims_nothing(text: str):
    assert seen(text, MIGRAINE) == []


def test_a_statement_on_another_subject():
    assert seen("需要注意的是，夜惊有传染性。", MIGRAINE, ["夜惊"]) == [("夜惊", "beyond"), ("传染性", "beyond")]


def test_contagion_in_a_name_is_no_statement():
    assert seen("可到传染科就诊，预防传染。", MIGRAINE) == [("传染科", "beyond")]

"""The verifier: what is a claim, and what each claim is worth against the facts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bentsao.core.records import Fact, Source
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.verify import KnownNames, Verdicts, verify
from bentsao.knowledge.verify.cues import CUES, MEASURED, QUANTITY_HOME, QUANTITY_WORDS, VERBS

SOURCE = Source(name="测试", file="t.jsonl", row=1)


def fact(subject: str, attribute: str, *values: str, qualifier: str | None = None) -> Fact:
    return Fact(subject=subject, attribute=attribute, values=values, source=SOURCE, qualifier=qualifier)


MIGRAINE = [
    fact("偏头痛", "临床症状及体征", "搏动性头痛", "恶心", "呕吐", "畏光"),
    fact("偏头痛", "并发症", "脑梗死"),
    fact("偏头痛", "传染性", "无传染性"),
    fact("偏头痛", "是否医保", "医保疾病"),
    fact("偏头痛", "治疗周期", "1-2个月"),
    fact("偏头痛", "治愈率", "约70%"),
    fact("偏头痛", "药物治疗", "布洛芬"),
    fact("偏头痛", "药物治疗", "丙戊酸钠", qualifier="预防发作"),
    fact("偏头痛", "药物治疗", "对乙酰氨基酚", qualifier="儿童"),
    fact("偏头痛", "所属科室", "神经内科"),
    fact("偏头痛", "高危因素", "过度劳累"),
    fact("偏头痛", "检查", "头颅CT", "血常规检查"),
    fact("偏头痛", "饮食建议", "避免饮酒"),
]
AMOXICILLIN = [
    fact("阿莫西林", "适应症", "扁桃体炎", "伤寒"),
    fact("阿莫西林", "禁忌证", "青霉素过敏"),
    fact("阿莫西林", "用法用量", "口服 0.5g 每6~8小时1次", qualifier="成人"),
    fact("阿莫西林", "用法用量", "口服 0.25g 每日3次", qualifier="儿童"),
    fact("阿莫西林", "用法用量", "静脉滴注 2g 每日2次"),
    fact("阿莫西林", "不良反应", "皮疹", "腹泻"),
    fact("阿莫西林", "孕妇用药", "有指征时可选用"),
    fact("阿莫西林", "老年用药", "禁用"),
    fact("阿莫西林", "OTC类型", "处方药"),
]
APPENDICITIS = [
    fact("急性阑尾炎", "临床症状及体征", "转移性右下腹痛", "发热"),
    fact("急性阑尾炎", "手术治疗", "阑尾切除术"),
    fact("急性阑尾炎", "传染性", "无传染性"),
]
CIRRHOSIS = [
    fact("肝硬化", "并发症", "肝癌", "腹水"),
    fact("肝癌", "临床症状及体征", "肝区疼痛", "消瘦"),
]


def seen(text: str, facts: Sequence[Fact], names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(text, verdict) of each claim."""
    verdicts = verify(text, facts, vocabulary=KnownNames(names) if names else None)
    return [(claim.text, claim.verdict) for claim in verdicts.claims]


def only(text: str, facts: Sequence[Fact], claimed: str) -> str:
    """The verdict on the one claim with this text."""
    found = [verdict for claim, verdict in seen(text, facts) if claim == claimed]
    assert len(found) == 1, (text, seen(text, facts))
    return found[0]


# --- names ------------------------------------------------------------------------------------------


def test_values_of_the_facts_are_supported_with_their_fact_and_value():
    text = "偏头痛的症状包括搏动性头痛、恶心和呕吐，应到神经内科就诊。"
    verdicts = verify(text, MIGRAINE)
    assert [claim.text for claim in verdicts.supported] == ["搏动性头痛", "恶心", "呕吐", "神经内科"]
    assert verdicts.claims == verdicts.supported
    first = verdicts.claims[0]
    assert (first.fact, first.value) == (MIGRAINE[0], "搏动性头痛")
    assert text[first.start : first.end] == "搏动性头痛"


def test_what_the_facts_do_not_have_goes_beyond_them():
    assert seen("症状有恶心、偏瘫等。", MIGRAINE) == [("恶心", "supported"), ("偏瘫", "beyond")]
    assert seen("可能出现失语。", MIGRAINE, ["失语"]) == [("失语", "beyond")]
    assert seen("可能出现失语。", [], ["失语"]) == [("失语", "beyond")]


def test_lists_are_taken_apart_before_and_after_the_attribute():
    assert seen("偏头痛的并发症包括A型肝炎、狂犬病和胡说综合征。", MIGRAINE) == [
        ("A型肝炎", "beyond"),
        ("狂犬病", "beyond"),
        ("胡说综合征", "beyond"),
    ]
    assert seen("可出现脑梗死、胡说综合征等并发症。", MIGRAINE) == [("脑梗死", "supported"), ("胡说综合征", "beyond")]
    assert seen("胡说综合征是偏头痛的并发症之一。", MIGRAINE) == [("胡说综合征", "beyond")]


@pytest.mark.parametrize(
    "text",
    [
        "请及时就医，祝您早日康复！",
        "以上仅供参考，请遵医嘱。",
        "如果出现高热，请立即到医院就诊。",
        "偏头痛会传染吗？",
        "需要明确患者是否有高热。",
    ],
)
def test_general_advice_and_questions_claim_nothing(text: str):
    assert seen(text, MIGRAINE, ["高热", "康复"]) == []


def test_the_subject_is_no_claim():
    assert seen("偏头痛是一种常见疾病。", MIGRAINE, ["偏头痛"]) == []


def test_a_longer_name_is_not_the_shorter_one_in_it():
    headache = [fact("感冒", "临床症状及体征", "头痛")]
    assert seen("症状包括偏头痛。", headache) == [("偏头痛", "beyond")]
    assert seen("会引起偏头痛。", headache, ["偏头痛"]) == [("偏头痛", "beyond")]
    assert seen("症状包括明显头痛。", headache) == [("头痛", "supported")]
    hepatitis = [fact("酗酒", "并发症", "肝炎")]
    assert seen("会引起病毒性肝炎。", hepatitis) == [("病毒性肝炎", "beyond")]
    assert seen("会引起肝炎。", hepatitis) == [("肝炎", "supported")]


def test_a_word_of_an_item_is_no_claim_beside_it():
    assert seen("麻醉方式包括全身麻醉。", MIGRAINE, ["全身"]) == [("全身麻醉", "beyond")]
    assert seen("症状包括恶心等种种不适感受。", MIGRAINE) == [("恶心", "supported")]
    assert seen("病因包括黏膜感染。", [], ["黏膜", "感染"]) == [("黏膜感染", "beyond")]
    assert seen("治疗方案包括及时补液。", MIGRAINE) == []


def test_the_names_of_a_vocabulary_stand_alone_and_have_two_characters_at_least():
    assert seen("建议做CTA。", [], ["CT", "肝"]) == []
    assert seen("建议做CT，肝炎。", [], ["CT", "肝"]) == [("CT", "beyond")]


def test_a_value_of_one_character_is_one_only_by_itself():
    facts = [fact("乙肝", "发病部位", "肝")]
    assert seen("可引起肝硬化。", facts) == []
    assert seen("发病部位是肝。", facts) == [("肝", "supported")]


def test_the_name_of_an_attribute_is_a_value_only_where_it_opens_no_list():
    facts = [fact("偏头痛", "治疗方案", "药物治疗"), fact("偏头痛", "药物治疗", "布洛芬")]
    assert seen("药物治疗包括布洛芬。", facts) == [("布洛芬", "supported")]
    assert seen("治疗方案包括药物治疗。", facts) == [("药物治疗", "supported")]


def test_the_general_term_is_supported_and_the_special_one_goes_beyond():
    assert seen("症状有头痛。", MIGRAINE, ["头痛"]) == [("头痛", "supported")]
    special = verify("症状有剧烈恶心呕吐、喷射性呕吐。", MIGRAINE, vocabulary=KnownNames(["喷射性呕吐"])).claims[-1]
    assert (special.text, special.verdict, special.value) == ("喷射性呕吐", "beyond", "呕吐")


def test_a_prefix_that_makes_another_thing_makes_no_special_one():
    facts = [fact("某病", "临床症状及体征", "假性癫痫", "非结核性咳嗽")]
    assert seen("会出现癫痫。", facts, ["癫痫"]) == [("癫痫", "beyond")]


def test_the_general_term_of_a_drug_or_an_indication_is_another_thing():
    drug = [fact("感染性休克", "药物治疗", "去甲肾上腺素")]
    assert seen("可用肾上腺素治疗。", drug, ["肾上腺素"]) == [("肾上腺素", "beyond")]
    indication = [fact("维A酸", "适应症", "急性早幼粒细胞白血病")]
    assert seen("用于白血病。", indication, ["白血病"]) == [("白血病", "beyond")]


@pytest.mark.parametrize(
    ("value", "said"), [("卡马西平片", "卡马西平"), ("卡马西平", "盐酸卡马西平片"), ("血常规检查", "血常规")]
)
def test_salts_dosage_forms_and_the_word_examination_are_put_aside(value: str, said: str):
    facts = [fact("三叉神经痛", "药物治疗", value)]
    assert seen(f"可用{said}。", facts, [said]) == [(said, "supported")]
    assert seen("可用卡马西平缓释片。", [fact("三叉神经痛", "药物治疗", "卡马西平栓")], ["卡马西平缓释片"]) == [
        ("卡马西平缓释片", "beyond")
    ]


def test_another_way_of_writing_is_the_same_value_and_spans_lie_in_the_original():
    text = "偏頭痛的症狀包括 噁心、ＣＴ異常？不。檢查有頭顱 ＣＴ。"
    claims = verify(text, MIGRAINE).claims
    assert [(claim.text, claim.verdict) for claim in claims if claim.value == "头颅CT"] == [("頭顱 ＣＴ", "supported")]
    assert all(text[claim.start : claim.end] == claim.text for claim in claims)


def test_aliases_of_values_and_subjects():
    other = {"脑梗死": ["脑梗塞", "中风"], "偏头痛": ["血管性头痛"]}
    text = "血管性头痛的并发症包括脑梗塞。"
    found = verify(text, MIGRAINE, aliases=lambda name: other.get(name, ())).claims
    assert [(claim.text, claim.verdict, claim.value) for claim in found] == [("脑梗塞", "supported", "脑梗死")]
    assert [claim.verdict for claim in verify("并发症包括脑梗塞。", MIGRAINE).claims] == ["beyond"]


class _Linker:
    """A vocabulary that knows 中风 as a name of 脑梗死."""

    def find(self, text: str) -> list[tuple[int, int, str]]:
        at = text.find("中风")
        return [] if at < 0 else [(at, at + 2, "脑梗死")]


def test_a_vocabulary_that_gives_an_entitys_own_name():
    (claim,) = verify("偏头痛可引起中风。", MIGRAINE, vocabulary=_Linker()).claims
    assert (claim.text, claim.verdict, claim.value) == ("中风", "supported", "脑梗死")


# --- attributes, subjects, conditions ------------------------------------------------------------------


def test_a_value_under_the_wrong_attribute_goes_beyond():
    verdicts = verify("偏头痛的并发症包括恶心和脑梗死。", MIGRAINE)
    assert [(claim.text, claim.verdict) for claim in verdicts.claims] == [("恶心", "beyond"), ("脑梗死", "supported")]
    assert "临床症状及体征" in verdicts.claims[0].reason


def test_a_general_attribute_takes_in_the_special_one_but_not_a_sibling():
    assert only("治疗方案包括布洛芬。", MIGRAINE, "布洛芬") == "supported"
    assert only("手术治疗包括布洛芬。", MIGRAINE, "布洛芬") == "beyond"
    assert only("药物治疗和手术治疗包括布洛芬。", MIGRAINE, "布洛芬") == "supported"


def test_indication_and_contraindication_exclude_each_other():
    assert only("用于治疗青霉素过敏。", AMOXICILLIN, "青霉素过敏") == "contradicted"
    assert only("阿莫西林禁用于伤寒。", AMOXICILLIN, "伤寒") == "contradicted"
    assert only("禁忌证包括伤寒。", AMOXICILLIN, "伤寒") == "contradicted"
    assert only("禁忌证不包括伤寒。", AMOXICILLIN, "伤寒") == "supported"
    assert only("不能用于治疗青霉素过敏。", AMOXICILLIN, "青霉素过敏") == "supported"


def test_a_fact_on_another_subject_does_not_support():
    text = "肝硬化的并发症包括肝癌、腹水。肝癌的症状有腹水和消瘦。"
    assert seen(text, CIRRHOSIS) == [
        ("肝癌", "supported"),
        ("腹水", "supported"),
        ("腹水", "beyond"),
        ("消瘦", "supported"),
    ]
    assert seen("高血压的症状包括恶心。", MIGRAINE, ["高血压"]) == [("恶心", "beyond")]
    assert seen("肝硬化和肝癌都会出现消瘦。", CIRRHOSIS) == [("消瘦", "beyond")]
    assert seen("肝硬化和肝癌会出现消瘦。", CIRRHOSIS) == [("消瘦", "supported")]


def test_the_condition_of_a_fact():
    assert only("儿童可用对乙酰氨基酚。", MIGRAINE, "对乙酰氨基酚") == "supported"
    assert only("成人可用对乙酰氨基酚。", MIGRAINE, "对乙酰氨基酚") == "beyond"
    (claim,) = verify("可用对乙酰氨基酚。", MIGRAINE).claims
    assert claim.verdict == "supported"
    assert "儿童" in claim.reason
    assert seen("预防发作时可用丙戊酸钠。", MIGRAINE, ["发作"]) == [("丙戊酸钠", "supported")]


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


def test_contagion_in_a_name_is_no_statement():
    assert seen("可到传染科就诊，预防传染。", MIGRAINE) == [("传染科", "beyond")]


# --- quantities --------------------------------------------------------------------------------------


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
    assert [
        claim.verdict
        for claim in verify(text, AMOXICILLIN).claims
        if any(c.isdigit() or c in "三一t" for c in claim.text)
    ] == expected


def test_the_dose_of_one_regimen_with_the_rate_of_another_is_found_out():
    facts = [fact("某药", "用法用量", "0.5g 每日3次"), fact("某药", "用法用量", "1g 每日2次")]
    assert [claim.verdict for claim in verify("每次0.5g，每日2次。", facts).claims] == ["supported", "contradicted"]


def test_the_regimen_that_bears_most_of_a_statement_is_asked_first():
    facts = [fact("某药", "用法用量", "0.5g 每日3次"), fact("某药", "用法用量", "1g 每日2次")]
    assert [claim.value for claim in verify("每次1g，每日2次。", facts).claims] == ["1g 每日2次"] * 2


def test_the_conditions_within_a_sentence_and_within_a_value():
    facts = [
        fact("某药", "用法用量", "0.5g 每日4次", qualifier="成人"),
        fact("某药", "用法用量", "0.25g 每日3次", qualifier="儿童"),
    ]
    assert [claim.verdict for claim in verify("成人每次0.5g，儿童每日3次。", facts).claims] == ["supported"] * 2
    monograph = [fact("某药", "用法用量", "口服给药：1.成人：每次10mg，每天3次。2.儿童：每次5mg，每天2次。")]
    assert [claim.verdict for claim in verify("儿童口服每次5mg。", monograph).claims] == ["supported"]
    assert [claim.verdict for claim in verify("成人口服每次5mg。", monograph).claims] == ["contradicted"]
    assert [claim.verdict for claim in verify("儿童静脉滴注每次5mg。", monograph).claims] == ["beyond"]


def test_a_days_dose_is_worked_out():
    facts = [fact("某药", "用法用量", "0.5g 每日3次")]
    assert [claim.verdict for claim in verify("每日1.5g。", facts).claims] == ["supported"]
    assert [claim.verdict for claim in verify("每日0.5g。", facts).claims] == ["contradicted"]


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
    assert [claim.verdict for claim in verify(text, MIGRAINE).claims] == [verdict]


def test_an_answer_of_a_bare_figure_is_held_against_the_only_attribute_asked_for():
    facts = [fact("偏头痛", "治疗周期", "1-2个月")]
    assert [claim.verdict for claim in verify("大约3年。", facts).claims] == ["contradicted"]
    assert [claim.verdict for claim in verify("术后3年复查。", facts).claims] == ["beyond"]
    note = [fact("某药", "注意事项", "皮肤试验前48小时停药")]
    assert [claim.verdict for claim in verify("大约3天。", note).claims] == ["beyond"]


def test_normal_values_belong_to_what_is_measured():
    facts = [fact("血常规", "正常值", "白细胞3.5~9.5×10⁹/L", "血小板125~350×10⁹/L")]
    assert [claim.verdict for claim in verify("白细胞为3.5-9.5×10^9/L。", facts).claims] == ["supported"]
    assert [claim.verdict for claim in verify("血小板为3.5-9.5×10^9/L。", facts).claims] == ["contradicted"]
    assert [claim.verdict for claim in verify("白细胞为4-9×10^9/L。", facts).claims] == ["contradicted"]


def test_the_age_of_the_patient_is_no_claim():
    assert seen("该患者28岁。", MIGRAINE) == []
    assert seen("多发于28岁以上。", [fact("偏头痛", "多发群体", "40岁以上")]) == [("28岁以上", "contradicted")]


# --- the whole ---------------------------------------------------------------------------------------


def test_missing_holds_the_values_that_the_text_does_not_state():
    verdicts = verify("偏头痛的症状包括恶心和呕吐，没有传染性，疗程1-2个月。", MIGRAINE[:5])
    left = {(one.attribute, one.values) for one in verdicts.missing}
    assert left == {
        ("临床症状及体征", ("搏动性头痛", "畏光")),
        ("并发症", ("脑梗死",)),
        ("是否医保", ("医保疾病",)),
    }


def test_a_denied_or_generalised_value_is_not_stated():
    facts = [fact("偏头痛", "临床症状及体征", "搏动性头痛", "恶心")]
    assert verify("没有恶心。症状有头痛。", facts, vocabulary=KnownNames(["头痛"])).missing == tuple(facts)


def test_nothing_said_claims_nothing():
    assert verify("", MIGRAINE) == Verdicts(claims=(), missing=tuple(MIGRAINE))


def test_claims_come_in_the_order_of_the_text():
    text = "可用布洛芬，治愈率约70%，没有传染性，症状有恶心。"
    starts = [claim.start for claim in verify(text, MIGRAINE).claims]
    assert starts == sorted(starts)
    assert len(starts) == 4


def test_the_words_speak_of_attributes_that_there_are():
    named = set[str]().union(*(attributes for _, attributes in (*CUES, *VERBS)))
    named |= set[str]().union(*QUANTITY_HOME.values(), *(attributes for *_, attributes in QUANTITY_WORDS), MEASURED)
    assert named <= set(ATTRIBUTES)

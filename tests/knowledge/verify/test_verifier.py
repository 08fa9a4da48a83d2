"""The verifier: what is a claim, and what each claim is worth against the facts."""

from __future__ import annotations

import pytest

from bentsao.core.records import Fact, Source
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.verify import KnownNames, Verdicts, verify
from bentsao.knowledge.verify.cues import CUES, MEASURED, QUANTITY_HOME, QUANTITY_WORDS, VERBS
from tests.knowledge.verify.verifying import AMOXICILLIN, CIRRHOSIS, MIGRAINE, fact, only, seen, verdicts

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


def test_a_department_is_what_one_is_told_to_go_to():
    glaucoma = [fact("青光眼", "并发症", "视神经萎缩", "失明"), fact("青光眼", "所属科室", "眼科")]
    assert seen("看青光眼，请挂视神经萎缩和失明。", glaucoma) == [("视神经萎缩", "beyond"), ("失明", "beyond")]
    assert seen("看青光眼，请挂眼科。", glaucoma) == [("眼科", "supported")]


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
    assert seen("药物治疗是更好的选择。", MIGRAINE) == []


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
    assert verdicts("并发症包括脑梗塞。", MIGRAINE) == ["beyond"]


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
    assert seen("肝硬化和肝癌会出现消瘦。", CIRRHOSIS) == [("消瘦", "beyond")], "it says so of both"
    assert seen("肝硬化和肝癌不同，会出现消瘦。", CIRRHOSIS) == [("消瘦", "supported")]
    assert seen("先说肝硬化和肝癌。后者会出现消瘦。", CIRRHOSIS) == [("消瘦", "supported")]
    assert seen("先说肝硬化和肝癌。前者会出现消瘦。", CIRRHOSIS) == [("消瘦", "beyond")]


def test_the_condition_of_a_fact():
    assert only("儿童可用对乙酰氨基酚。", MIGRAINE, "对乙酰氨基酚") == "supported"
    assert only("成人可用对乙酰氨基酚。", MIGRAINE, "对乙酰氨基酚") == "beyond"
    (claim,) = verify("可用对乙酰氨基酚。", MIGRAINE).claims
    assert claim.verdict == "supported"
    assert "儿童" in claim.reason
    assert seen("预防发作时可用丙戊酸钠。", MIGRAINE, ["发作"]) == [("丙戊酸钠", "supported")]


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


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("是否医保", "非医保疾病", "按医保来看，白点病是非医保疾病。"),
        ("是否医保", "非医保疾病", "白点病的医保情况是非医保疾病。"),
        ("传染性", "无传染性", "您问的是传染问题。白点病在这方面无传染性。"),
    ],
)
def test_naming_the_topic_states_nothing(attribute: str, value: str, text: str):
    known = Fact(subject="白点病", attribute=attribute, values=(value,), source=Source(name="试验"))
    assert {claim.verdict for claim in verify(text, [known]).claims} == {"supported"}


def test_what_stands_under_the_condition_of_another_fact_is_not_said_by_its_own():
    facts = [
        fact("偏头痛", "药物治疗", "舒马普坦", qualifier="中重度发作"),
        fact("偏头痛", "药物治疗", "氟桂利嗪", qualifier="预防发作"),
        fact("偏头痛", "药物治疗", "布洛芬"),
    ]
    assert seen("偏头痛：中重度发作：舒马普坦、氟桂利嗪。", facts) == [
        ("舒马普坦", "supported"),
        ("氟桂利嗪", "beyond"),
    ]
    assert seen("偏头痛：中重度发作：舒马普坦；预防发作：氟桂利嗪。", facts) == [
        ("舒马普坦", "supported"),
        ("氟桂利嗪", "supported"),
    ]
    assert seen("偏头痛：中重度发作：舒马普坦、布洛芬。", facts) == [("舒马普坦", "supported"), ("布洛芬", "supported")]

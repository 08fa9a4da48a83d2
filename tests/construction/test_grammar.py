"""The grammar: what its files say, how it is split, and that each answer of it can be checked against its facts."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.construction.forms.care import drug_for
from bentsao.construction.forms.premises import premises
from bentsao.construction.grammar import AttributeGrammar, filled, is_held_out, load_grammar, pattern_id, read_grammar
from bentsao.construction.phrasing import stated
from bentsao.core.errors import DataError
from bentsao.core.grounding import without_marks
from bentsao.core.records import Fact
from bentsao.knowledge.schema import ATTRIBUTES, Kind
from bentsao.knowledge.verify import verify
from tests.construction.materials import fact, pen, sample_material

GRAMMAR = load_grammar()
QUESTIONS = ("lay", "clinician", "exam", "vignette", "yes_no", "claim")

FREQUENT: tuple[tuple[Kind, str], ...] = (
    ("disease", "临床症状及体征"), ("disease", "病因"), ("disease", "检查"), ("disease", "药物治疗"),
    ("disease", "治疗方案"), ("disease", "所属科室"), ("disease", "并发症"), ("disease", "鉴别诊断"),
    ("disease", "预防措施"), ("disease", "实验室检查"), ("disease", "影像学检查"), ("drug", "适应症"),
    ("drug", "用法用量"), ("drug", "不良反应"), ("drug", "禁忌证"), ("drug", "注意事项"),
)  # fmt: skip
"""The attributes that people ask for most."""

NOT_ALWAYS = {
    "现有资料没有说老人用{e}是“{v}”，给出的说明为“{values}”{cite}。": "核对时把“老人”读成一条用药说明",
    "先别信这个说法。关于孕妇使用{e}，资料写明的是：{values}，没有“{v}”{cite}。": "{v} 里说到孕期时读成相反的说明",
    "这要更正：现有资料对孕期使用{e}的说明为“{values}”，而不是“{v}”{cite}。": "{v} 里说到孕期时读成相反的说明",
}
"""Patterns that the verifier refuses with some values, and why; another is taken in their place."""


@pytest.mark.parametrize(("kind", "name"), FREQUENT)
def test_frequent_attributes_can_be_asked_for_in_many_ways(kind: Kind, name: str) -> None:
    one = GRAMMAR.attributes[kind, name]
    assert len({pattern for voice in QUESTIONS for pattern in getattr(one, voice)}) >= 25
    assert len(one.follow_up) >= 5
    assert len(one.answer) >= 6
    assert len(one.yes) >= 3
    assert len(one.no) >= 3


@pytest.mark.parametrize("key", sorted(GRAMMAR.attributes), ids="·".join)
def test_every_answer_pattern_passes_the_verifier(key: tuple[Kind, str]) -> None:
    one = GRAMMAR.attributes[key]
    refused: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for number, facts in enumerate(_facts_for(key)):
        for pattern in one.answer:
            said = stated(one.model_copy(update={"answer": (pattern,)}), facts[0].subject, facts, random.Random(number))
            tried[pattern] += 1
            refused[pattern] += bool(_wrong(said, facts))
    assert {pattern: refused[pattern] for pattern in tried if refused[pattern] == tried[pattern]} == {}


@pytest.mark.parametrize("side", ["yes", "no"])
def test_every_answer_to_a_premise_passes_the_verifier(side: str) -> None:
    material = sample_material()
    refused: Counter[str] = Counter()
    for key, one in GRAMMAR.attributes.items():
        about = [subject for subject in material.by_kind[key[0]] if key[1] in subject.facts][:8]
        for pattern in getattr(one, side):
            grammar = _with(key, one.model_copy(update={side: (pattern,)}))
            pairs = (premises(subject, key[1], pen(material, 1, grammar)) for subject in about)
            said = [pair[side == "no"] for pair in pairs if pair]
            bad = [answer for answer in said if _wrong(answer.answer, answer.facts)]
            if said and len(bad) == len(said) and pattern not in NOT_ALWAYS:
                refused[pattern] = len(bad)
    assert refused == {}


def test_answers_about_drugs_and_diseases_pass_the_verifier() -> None:
    material = sample_material()
    wrong: list[str] = []
    made = 0
    for number, drug in enumerate(material.by_kind["drug"]):
        for true in (True, False):
            exchange = drug_for(drug, pen(material, number), true=true)
            if exchange:
                made += 1
                wrong += [exchange.answer] if _wrong(exchange.answer, exchange.facts) else []
    assert made > 200
    assert len(wrong) < made / 50


def test_each_pattern_is_for_training_or_for_testing() -> None:
    train, test = GRAMMAR.part("train"), GRAMMAR.part("test")
    for key, one in GRAMMAR.attributes.items():
        for voice in (*QUESTIONS, "follow_up"):
            mine, theirs = getattr(train.attributes[key], voice), getattr(test.attributes[key], voice)
            assert set(mine).isdisjoint(theirs)
            assert sorted((*mine, *theirs)) == sorted(getattr(one, voice))
        assert train.attributes[key].answer == test.attributes[key].answer == one.answer
    for form, named in GRAMMAR.joint.items():
        assert sorted((*train.joint[form].get("ask", ()), *test.joint[form].get("ask", ()))) == sorted(
            named.get("ask", ())
        )
    held = sum(map(is_held_out, {p for one in GRAMMAR.attributes.values() for p in one.lay}))
    assert 0.1 < held / len({p for one in GRAMMAR.attributes.values() for p in one.lay}) < 0.3
    # The words decide, not the place in the file: data made earlier stays on its side.
    assert is_held_out("得了{e}会有哪些不舒服？") is False
    assert pattern_id("得了{e}会有哪些不舒服？") == "defc73b758"


def test_no_pattern_speaks_like_a_generator() -> None:
    for one in GRAMMAR.attributes.values():
        for voice in (*QUESTIONS, "follow_up", "answer", "yes", "no", "missing", "advice"):
            for pattern in getattr(one, voice):
                assert not any(word in pattern for word in ("知识库", "作为AI", "中心词", "根据您提供"))


GOOD = """
[people]
adult_male = ["男，"]
adult_female = ["女，"]
adult = ["患者，"]
old = ["老人，"]
child = ["患儿，"]
infant = ["婴儿，"]
when = ["上周"]

[[attribute]]
name = "病因"
kind = "disease"
short = ["病因"]
lay = ["{e}是怎么得的？"]
answer = ["{e}的病因是{values}{cite}。"]
"""


def test_a_grammar_is_read_from_toml() -> None:
    grammar = read_grammar({"一.toml": GOOD})
    assert grammar.attributes["disease", "病因"].lay == ("{e}是怎么得的？",)
    assert grammar.questions() == 1


FAULTS = {
    "不是属性": 'name = "星座"\nkind = "disease"\nshort = ["星座"]\nanswer = ["{values}{cite}"]',
    "不是这一类的属性": 'name = "病因"\nkind = "drug"\nshort = ["病因"]\nanswer = ["{values}{cite}"]',
    "没有名词": 'name = "病因"\nkind = "disease"\nshort = []\nanswer = ["{values}{cite}"]',
    "没有答句": 'name = "病因"\nkind = "disease"\nshort = ["病因"]\nanswer = []',
    "不认识的键": 'name = "病因"\nkind = "disease"\nshort = ["病因"]\nanswer = ["{values}{cite}"]\nlie = ["{e}"]',
    "没有实体": 'name = "病因"\nkind = "disease"\nshort = ["病因"]\nanswer = ["{values}{cite}"]\nlay = ["怎么得的？"]',
    "没有的槽": 'name = "病因"\nkind = "disease"\nshort = ["病因"]\nanswer = ["{values}{cite}"]\nlay = ["{e}{v}？"]',
    "没有引用": 'name = "病因"\nkind = "disease"\nshort = ["病因"]\nanswer = ["{e}：{values}"]',
    "重复": 'name = "病因"\nkind = "disease"\nshort = ["病因"]\nanswer = ["{values}{cite}", "{values}{cite}"]',
}


@pytest.mark.parametrize("fault", FAULTS, ids=list(FAULTS))
def test_a_fault_is_told_with_its_place(fault: str) -> None:
    with pytest.raises(DataError) as error:
        read_grammar({"坏.toml": f"{GOOD}\n[[attribute]]\n{FAULTS[fault]}"})
    assert {one.file for one in error.value.faults} == {"坏.toml"}


@pytest.mark.parametrize("table", ['[several]\nask = ["{e}和{ee}"]', '[unknown.disease]\n"病因" = ["{ee}的病因？"]'])
def test_a_slot_that_there_is_not_is_told(table: str) -> None:
    with pytest.raises(DataError, match=r"\['ee'\] 这样的空位"):
        read_grammar({"坏.toml": f"{GOOD}\n{table}"})


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=5, unique=True))
def test_all_faults_are_told_at_once(faults: list[str]) -> None:
    texts = {f"{number}.toml": f"[[attribute]]\n{FAULTS[fault]}" for number, fault in enumerate(faults)}
    with pytest.raises(DataError) as error:
        read_grammar({"好.toml": GOOD, "乱.toml": "= 1", **texts})
    assert {one.file for one in error.value.faults} == {"乱.toml", *texts}


# ---- helpers --------------------------------------------------------------------------------------------------------

_KINDS_OF_VALUES: tuple[tuple[str, ...], ...] = (
    ("鼻塞",),
    ("鼻塞", "流涕", "咽部红肿"),
    ("避免受凉", "适当多饮水", "发热时卧床"),
)
_FIGURES = {"治愈率": "85%", "死亡率": "5%", "发病率": "2%", "预后生存率": "5年生存率60%", "治疗周期": "7天",
            "治疗费用": "500元", "预后生存时间": "6个月", "ICD-10": "J00", "正常值": "白细胞3.5~9.5×10⁹/L",
            "传染性": "有传染性", "是否医保": "医保疾病", "OTC类型": "处方药", "用法用量": "口服 0.3g 每日1次",
            "孕妇用药": "禁用", "儿童用药": "慎用", "老年用药": "减量使用"}  # fmt: skip


def _facts_for(key: tuple[Kind, str]) -> list[tuple[Fact, ...]]:
    """Facts of typical kinds: one name, several, half sentences; or what only this attribute has."""
    name = "某某药" if key[0] == "drug" else "某某病"
    if key[1] in _FIGURES:
        return [(fact(name, key[1], _FIGURES[key[1]]),)]
    if ATTRIBUTES[key[1]].values == "department":
        return [(fact(name, key[1], "呼吸内科"),), (fact(name, key[1], "儿科", "急诊科"),)]
    return [(fact(name, key[1], *values),) for values in _KINDS_OF_VALUES]


def _wrong(answer: str, facts: tuple[Fact, ...]) -> list[str]:
    material = sample_material()
    claims = verify(without_marks(answer), facts, aliases=material.aliases).claims
    return [f"{claim.text}：{claim.reason}" for claim in claims if claim.verdict != "supported"]


def _with(key: tuple[Kind, str], one: AttributeGrammar):
    from dataclasses import replace

    return replace(GRAMMAR, attributes={**GRAMMAR.attributes, key: one})


def test_the_slots_of_every_pattern_can_be_filled() -> None:
    slots = dict.fromkeys(("e", "v", "values", "cite", "who", "when", "signs", "short"), "甲")
    for one in GRAMMAR.attributes.values():
        for voice in (*QUESTIONS, "follow_up", "answer", "yes", "no", "missing", "advice"):
            assert not any("{" in filled(pattern, **slots) for pattern in getattr(one, voice))

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.core.grounding import cited_numbers, number_facts
from bentsao.core.records import Evidence, Fact, Source
from bentsao.inference.grounded.advice import baseless_advice
from bentsao.inference.grounded.guarding import guarded, sentences
from bentsao.knowledge.verify import KnownNames

SOURCE = Source(name="试验")
DRUGS = ("布洛芬", "氟桂利嗪", "阿司匹林", "奥美拉唑", "多奈哌齐")
NAMES = KnownNames((*DRUGS, "偏头痛", "胃溃疡", "穿孔", "肾功能"))


def fact(subject: str, attribute: str, *values: str, qualifier: str | None = None) -> Fact:
    return Fact(subject=subject, attribute=attribute, values=values, source=SOURCE, qualifier=qualifier)


def evidence(*values: tuple[str, ...], attribute: str = "药物治疗") -> tuple[Evidence, ...]:
    """Facts about 偏头痛: the first holds always, the others each under a condition of its own."""
    kinds = (None, *(f"第{number}种" for number in range(1, len(values))))
    return number_facts(
        [fact("偏头痛", attribute, *said, qualifier=kind) for said, kind in zip(values, kinds, strict=True)]
    )


def said(text: str, facts: tuple[Evidence, ...], asked: str = "") -> str:
    return guarded(text, facts, "remove", asked=asked, vocabulary=NAMES)[0]


@settings(deadline=None)
@given(st.text("偏头痛。！？\n[1]23 a，", max_size=40))
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(DRUGS), min_size=1, max_size=4, unique=True), st.lists(st.sampled_from(DRUGS), max_size=3)
)
def test_no_name_stands_that_no_fact_has(known: list[str], claimed: list[str]) -> None:
    facts = evidence(tuple(known))
    text = "".join(f"偏头痛可以用{name}治疗[1]。" for name in [*known, *claimed])
    answer, removed = guarded(text, facts, "remove", vocabulary=NAMES)
    assert all(name in answer for name in known)
    assert not any(name in answer for name in set(claimed) - set(known))
    assert len(removed) == sum(name not in known for name in claimed)


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), max_size=4))
def test_marks_are_those_of_facts(numbers: list[int]) -> None:
    facts = evidence(("布洛芬",), ("氟桂利嗪",))
    marks = "".join(f"[{number}]" for number in numbers)
    answer = said(f"偏头痛的药物有布洛芬{marks}。", facts)
    assert cited_numbers(answer) == (1,), "the fact that says it, and no other"


def test_each_claim_has_the_mark_of_its_fact() -> None:
    facts = evidence(("布洛芬",), ("氟桂利嗪",))
    assert said("偏头痛的药物有布洛芬、氟桂利嗪。", facts) == "偏头痛的药物有布洛芬、氟桂利嗪[1][2]。"
    assert (
        said("偏头痛的药物有布洛芬[1]。\n第1种时用氟桂利嗪[1]！", facts)
        == "偏头痛的药物有布洛芬[1]。\n第1种时用氟桂利嗪[2]！"
    )


def test_a_value_that_two_facts_have_is_cited_once() -> None:
    facts = number_facts([fact("偏头痛", "药物治疗", "布洛芬"), fact("关节炎", "药物治疗", "布洛芬")])
    assert said("关节炎的药物有布洛芬[2]。", facts) == "关节炎的药物有布洛芬[2]。"


def test_a_name_within_a_value_that_is_given_in_full_is_no_claim_of_its_own() -> None:
    facts = evidence(("按肾功能减量",), attribute="老年用药")
    assert said("写明的是：按肾功能减量[1]。", facts) == "写明的是：按肾功能减量[1]。"
    assert said("肾功能不好的人禁用[1]。", facts) == ""


def test_only_what_was_asked_may_be_denied() -> None:
    facts = evidence(("布洛芬",))
    denied = "资料里没有提到奥美拉唑，写明的是布洛芬[1]。"
    assert said(denied, facts, asked="偏头痛能用奥美拉唑吗") == denied
    assert said(denied, facts, asked="偏头痛用什么药") == ""
    assert said("没错，奥美拉唑可以用[1]。", facts, asked="偏头痛能用奥美拉唑吗") == ""


def test_what_a_fact_says_in_the_same_words_is_no_baseless_advice() -> None:
    facts = [fact("普萘洛尔", "注意事项", "长期使用后不可突然停药")]
    assert baseless_advice("长期使用后不可突然停药。", facts, borne_out=True) is None
    assert baseless_advice("好转后可以停药。", [], borne_out=True) is not None
    assert baseless_advice("停用某药适不适合，请当面问医生。", [], borne_out=False) is None
    assert baseless_advice("建议多休息。", facts, borne_out=False) is not None
    assert baseless_advice("建议尽快就诊。", facts, borne_out=False) is None

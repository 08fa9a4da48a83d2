"""What must hold of the verifier for every text and every fact."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from bentsao.core.records import Fact, Source
from bentsao.knowledge.verify import KnownNames, Mentions, verify

SOURCE = Source(name="测试")
ATTRIBUTES = [
    "临床症状及体征",
    "并发症",
    "检查",
    "药物治疗",
    "手术治疗",
    "所属科室",
    "高危因素",
    "鉴别诊断",
    "不良反应",
    "发病部位",
]
FRAMES = [
    "{subject}的{attribute}包括{values}。",
    "{subject}的{attribute}有{values}等。",
    "{subject}{attribute}：{values}",
    "{values}等是{subject}的{attribute}。",
    "一般来说，{subject}的{attribute}主要有{values}。如有不适，请及时就医。",
]
SUBJECT = "甲状旁腺病"

made_up = st.text("肝胆胰脾肾肺胃肠炎痛热咳汗疹瘤石膜骨髓脑眼耳鼻", min_size=2, max_size=7)
tricky = st.sampled_from(
    [
        "无菌性脑膜炎", "不孕症", "非甾体抗炎药", "对乙酰氨基酚", "可待因", "血型鉴定与交叉配血", "会阴撕裂",
        "有机磷中毒", "多尿",
        "及时补液", "病毒性肝炎", "急性ST段抬高型心肌梗死", "CT", "24小时尿蛋白", "维生素B12", "β-内酰胺类",
        "不明原因发热", "治疗相关白血病",
        "别嘌醇", "去甲肾上腺素", "人乳头瘤病毒感染", "呕血或便血", "注意缺陷多动障碍", "氢化可的松", "偏头痛",
        "检查性腹腔镜",
    ]
)  # fmt: skip
values = st.lists(st.one_of(made_up, tricky), min_size=1, max_size=6, unique=True)
intruder = st.text("狂犬瘟疫霍乱鼠疟痢伤寒麻", min_size=2, max_size=7)
vocabularies: st.SearchStrategy[Mentions | None] = st.one_of(
    st.none(), st.lists(st.one_of(made_up, intruder), max_size=8).map(KnownNames)
)


def fact(attribute: str, said: list[str]) -> Fact:
    return Fact(subject=SUBJECT, attribute=attribute, values=tuple(said), source=SOURCE)


def compose(frame: str, attribute: str, said: list[str], joint: str) -> str:
    listed = "、".join(said[:-1]) + (joint if len(said) > 1 else "") + said[-1]
    return frame.format(subject=SUBJECT, attribute=attribute, values=listed)


frames, attributes = st.sampled_from(FRAMES), st.sampled_from(ATTRIBUTES)
joints = st.sampled_from(["、", "和", "以及"])


@given(attributes, values, frames, joints)
def test_an_answer_made_of_the_facts_is_supported_and_misses_nothing(
    attribute: str, said: list[str], frame: str, joint: str
):
    facts = [fact(attribute, said)]
    text = compose(frame, attribute, said, joint)
    verdicts = verify(text, facts)
    assert verdicts.claims
    assert verdicts.claims == verdicts.supported, (text, [c for c in verdicts.claims if c.verdict != "supported"])
    assert verdicts.missing == ()


@given(attributes, values, intruder, st.data(), vocabularies)
def test_a_value_that_is_not_in_the_facts_is_never_supported(
    attribute: str, said: list[str], new: str, data: st.DataObject, vocabulary: Mentions | None
):
    place = data.draw(st.integers(0, len(said) - 1))
    changed = [*said[:place], new, *said[place + 1 :]]
    text = compose(data.draw(frames), attribute, changed, data.draw(joints))
    assume(text.count(new) == 1)
    at = text.index(new)
    touching = [
        claim
        for claim in verify(text, [fact(attribute, said)], vocabulary=vocabulary).claims
        if claim.start < at + len(new) and at < claim.end
    ]
    assert touching, text
    assert all(claim.verdict == "beyond" for claim in touching), (text, touching)


@given(values, st.data())
def test_a_denied_value_is_contradicted(said: list[str], data: st.DataObject):
    value = data.draw(st.sampled_from(said))
    assume(sum(value in other for other in said) == 1)
    facts = [fact("临床症状及体征", said)]
    (claim,) = verify(f"{SUBJECT}不会出现{value}。", facts).claims
    assert (claim.text, claim.verdict) == (value, "contradicted")
    (claim,) = verify(f"{SUBJECT}并非没有{value}。", facts).claims
    assert (claim.text, claim.verdict) == (value, "supported")


pieces = st.sampled_from(
    [
        "，", "。", "；", "\n", "？", "没有", "并非", "不会", "禁用", "包括", "等", "症状", "并发症", "的",
        "有", "如果", "可用", "孕妇",
        "0.5g", "每日3次", "2～4周", "70%", "传染性", "手术", "頭痛", "  ", "㎎", "Ⅲ", "é", "\U0001f600",
        "\ufffc", SUBJECT,
    ]
)  # fmt: skip


@given(st.lists(st.one_of(pieces, made_up, tricky, st.text(max_size=4)), max_size=25), values, vocabularies)
def test_the_claims_of_any_text_lie_in_it_in_order(written: list[str], said: list[str], vocabulary: Mentions | None):
    text = "".join(written)
    facts = [fact("临床症状及体征", said), fact("用法用量", ["口服 0.5g 每日3次"]), fact("传染性", ["无传染性"])]
    verdicts = verify(text, facts, vocabulary=vocabulary)
    starts = [claim.start for claim in verdicts.claims]
    assert starts == sorted(starts)
    for claim in verdicts.claims:
        assert 0 <= claim.start < claim.end <= len(text)
        assert text[claim.start : claim.end] == claim.text
        assert (claim.fact is None) == (claim.value is None)
        assert claim.verdict == "beyond" or (claim.fact in facts and claim.value in claim.fact.values)
        assert claim.reason

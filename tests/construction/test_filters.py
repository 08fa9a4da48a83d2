"""Each filter with answers that must pass and answers that must not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.construction.filters import FILTERS, TITLES, Context, label_of
from bentsao.construction.filters.persons import is_identity_number
from bentsao.core import grounding
from bentsao.core.records import Made
from bentsao.core.subsequence import in_order
from tests.construction.rows import MIGRAINE, dialogue, grounded, row

QUESTION = "一名35岁女性患偏头痛，应该怎样治疗？"


def why(name: str, answer: str, question: str = QUESTION) -> str | None:
    return FILTERS[name](row(question, answer), Context())


REFUSED = {
    "short": ["", "。", "是。", "化疗"],
    "leak": [
        "根据知识，该病需要住院10天。",
        "根据上述知识库中的描述，预后良好。",
        "根据病例描述和相关知识，可以手术。",
        "根据中心词'睡眠障碍'，可能患有失眠。",
        "两个知识中均提到了阿司匹林。",
        "抑郁症的知识没有提及治疗方案。",
        "但题目未给出患者是否有并发症。",
        "作为一个AI语言模型，我不能诊断。",
        "我是由人工智能驱动的助手，作为AI我建议就医。",
        "根据您提供的信息，可能是偏头痛。",
        "<bot>: 可以服用布洛芬。",
        "答案：布洛芬。",
        "以下是根据上述内容生成的问答：",
        "本文研究显示，该药有效。",
    ],
    "unfinished": [
        "常用药物有布洛芬、佐米曲普坦、",
        "治疗方法如下：",
        "可以服用布洛芬等药物治疗，同时注意休息，避免",
        "需要检查的项目有血常规、脑电图和",
        "可以服用布洛芬……",
        "可用药物（如布洛芬、佐米曲普坦。",
        "幽门环肌厚度≥以及管长度≥等特征。",
        "医生怀疑该女孩患有肿瘤，需要进一步检查",
    ],
    "language": [
        "The patient should take ibuprofen and rest in a dark and quiet room until better.",
        "可以服用イブプロフェン止痛。",
        "可以服用\ufffd\ufffd止痛。",
        "可以服药。The patient should also rest in a dark and quiet room until the headache is gone.",
    ],
    "repetition": [
        "偏头痛的治疗药物有布洛芬。" * 3,
        "发作时在安静避光的房间里休息一会儿即可。多喝水。发作时在安静避光的房间里休息一会儿即可。",
    ],
    "personal": [
        "请拨打13812345678咨询。",
        "请拨打 138-1234-5678 咨询。",
        "电话：010-62345678。",
        "邮箱 zhang.san@example.com.cn。",
        "加微信号：yaofang_2020 购买。",
        "患者身份证11010519491231002X。",
        "住院号：0012345。",
    ],
    "unsafe": [
        "症状缓解后可以自行停药。",
        "您可以自己加量服用布洛芬。",
        "感觉好转后就可以停药。",
        "这种头痛不用去医院，休息即可。",
        "无需就医。",
        "建议试试祖传秘方。",
        "本方包治百病。",
        "坚持服用一定能治愈。",
        "手术可以根治偏头痛。",
        "有效率100%，百分之百治愈。",
        "该药没有任何副作用。",
        "口服布洛芬，每次0.2g，每日3次。",
        "建议每天服用75-325毫克的阿司匹林。",
        "维生素K1 1~2mg静脉滴注。",
    ],
}  # fmt: skip

PASSES = {
    "short": ["预后良好。", "急性咽喉炎"],
    "leak": [
        "建议加强性知识教育。",
        "应当了解疾病的基本知识。",
        "根据检查结果，可能是偏头痛。",
        grounding.abstention([grounding.Gap("某病", "预后状况"), grounding.Gap("某药")]),
        "好的，建议服用布洛芬。",
        "我从一篇文章中看到，该药有效。",
        "根据相关文献的结论，该药有效。",
    ],
    "unfinished": [
        "可以服用布洛芬。",
        "可以服用布洛芬。[1]",
        "可以服用布洛芬[1][2]。",
        "急性淋巴细胞白血病",
        "Noonan综合征",
        "分两步：1）休息；2）服药。",
        "可能是偏头痛（无先兆）。",
        "您是否还有恶心？",
        "他说“头痛。”",
        "体温＞38℃时就诊。",
    ],
    "language": [
        "Noonan综合征",
        "Lennox-Gastaut综合征预后不良。",
        "应检测血清中CMV-IgG、IgM、lgA抗体以及IgM、IgA抗体，可以进行CMV标志物检测。",
        "发病率约为1/10 000",
        "可调节NOD-like receptor signaling pathway等信号通路。",
        "α1-抗胰蛋白酶缺乏时用β受体阻滞剂。",
    ],
    "repetition": [
        "hsa_circRNA_103191是一种环状RNA。研究发现hsa_circRNA_103191与肝癌有关，"
        "患者血清中hsa_circRNA_103191的拷贝数高于正常人，"
        "可作为辅助诊断的指标之一，但还需要更多的研究来证实它在临床上的价值，目前不作常规检查。",
        "头痛时服用布洛芬。恶心时服用甲氧氯普胺。",
    ],
    "personal": [
        "王女士，50岁，2023年1月1日起病。",
        "血小板计数为213000000000个每升。",
        "紧急时请拨打120。",
        "ICD编码为G43.900。",
        "编号11010519491231002A不是证件。",
        "编号110105194912310021不是证件。",
    ],
    "unsafe": [
        "请勿自行停药。",
        "剂量和疗程不可自行调整。",
        "应立即停用可疑药物，并尽快就诊。",
        "不能认为不用去医院。",
        "声带息肉需要手术才能根治。",
        "可行巨结肠根治术。",
        "该病无法根治，不能保证治愈。",
        "铜蓝蛋白低于200mg/L。",
        "尿蛋白定量为60mg/kg/d。",
        "每日饮水量在2000ml以上。",
        "一般无需特殊治疗，定期复查即可。",
        "避免听信偏方。",
        "没有特殊的治疗方法证明对本病绝对有效。",
        "平均体重小于2500g。",
    ],
}


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, texts in REFUSED.items() for answer in texts])
def test_refused(name: str, answer: str) -> None:
    found = why(name, answer)
    assert found is not None
    assert "：" in found
    assert label_of(found)


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, texts in PASSES.items() for answer in texts])
def test_passes(name: str, answer: str) -> None:
    assert why(name, answer) is None


def test_a_good_row_passes_every_filter() -> None:
    good = row(QUESTION, "发作时可服用布洛芬或佐米曲普坦，并在安静避光处休息；频繁发作请及时就医。", facts=MIGRAINE)
    assert {name: FILTERS[name](good, Context()) for name in FILTERS} == dict.fromkeys(FILTERS)
    assert FILTERS.keys() == TITLES.keys()


@pytest.mark.parametrize("name", FILTERS)
def test_no_answer_is_slow_to_filter(name: str) -> None:
    """26 digits took half a minute, 40 for ever: they could be read as figures in so many ways."""
    for piece in ("1", "1-", "1.", "a", "a.", "aa, ", "口服", "[1]", "、", "的", " ", "没有"):
        text = "口服" + (piece * 3000)[:3000] + "x"
        started = time.process_time()
        why(name, text)
        assert time.process_time() - started < 1, piece


def test_generator_talk_is_looked_for_in_questions_too() -> None:
    assert why("leak", "相同的是手术。", "两个知识中是否存在相同的治疗方法？")


@pytest.mark.parametrize(
    ("question", "label"),
    [
        ("5. 一名62岁女性出现高烧，怎么办？", "带着生成时的编号"),
        ("2、小明误咽了玩具，怎么办？", "带着生成时的编号"),
        ("这两个疾病的病因有何不同？", "问题没有说是什么病"),
        ("该疾病的病因是什么？", "问题没有说是什么病"),
        ("1. 头痛三天。2. 恶心一天。怎么办？", None),
        ("这个病是胆碱能型荨麻疹，要忌口吗？", None),
        ("1.5岁男童发热怎么办？", None),
        ("2型糖尿病和1型糖尿病有何不同？", None),
        ("这位患者出现了血尿，怎么办？", None),
        ("偏头痛和痛风，这两个疾病的病因有何不同？", None),
        ("两岁女童发热怎么办？", None),
    ],
)
def test_a_question_that_opens_a_row_is_not_one_of_a_list(question: str, label: str | None) -> None:
    found = why("leak", "请及时就医。", question)
    assert (found and label_of(found)) == label
    assert FILTERS["leak"](dialogue("偏头痛怎么治？", "请就医。", question, "请就医。"), Context()) is None


@pytest.mark.parametrize(
    ("question", "answer", "refused"),
    [
        ("诊断为开放性气胸，治疗方案应当采用哪种？", "开放性气胸的治疗方案。", True),
        ("建议对病情预后进行评估和定期复查。", "建议对病情预后进行评估和定期复查。", True),
        ("张先生可能是急性胃黏膜出血吗？", "张先生可能是急性胃黏膜出血。", False),
        ("小红需要进行沙眼衣原体检查？", "不需要进行沙眼衣原体检查。", False),
        ("慢性骨关节炎和乳腺原位癌哪个常见？", "慢性骨关节炎常见。", False),
        ("这种疾病的发病部位是什么？", "这种疾病的发病部位是卵巢。", False),
        ("诊断为Lennox-Gastaut综合征，预后如何？", "Lennox-Gastaut综合征预后不良。", False),
        ("患者可能患有什么病？", "患者可能患有Kimura病。", False),
    ],
)
def test_echo(question: str, answer: str, refused: bool) -> None:
    assert bool(why("echo", answer, question)) == refused


def test_personal_data_is_not_spread_by_the_report() -> None:
    found = why("personal", "请拨打13812345678咨询。")
    assert found
    assert "13812345678" not in found
    assert "*****" in found


def test_identity_numbers_are_told_by_their_check_character() -> None:
    number = "11010519491231002"
    assert [last for last in "0123456789X" if is_identity_number(number + last)] == ["X"]
    assert not is_identity_number("11010519491331002X"), "there is no thirteenth month"


def test_answers_are_held_against_their_evidence() -> None:
    assert FILTERS["ungrounded"](grounded("偏头痛吃什么药？", "偏头痛可用布洛芬[1]。"), Context()) is None
    beyond = FILTERS["ungrounded"](grounded("偏头痛吃什么药？", "偏头痛的治疗药物包括布洛芬、青霉素[1]。"), Context())
    assert beyond
    assert "青霉素" in beyond
    assert FILTERS["ungrounded"](row(QUESTION, "治疗药物包括青霉素。"), Context()) is None, "no evidence, no verdict"


def test_what_a_row_is_labelled_with_as_beyond_its_evidence_may_stay() -> None:
    answer = "偏头痛的治疗药物包括布洛芬、青霉素。"
    kept = Made(form="qa", writer="teacher", beyond=("青霉素",))
    assert FILTERS["ungrounded"](row(QUESTION, answer, facts=MIGRAINE, made=kept), Context()) is None
    other = Made(form="qa", writer="teacher", beyond=("链霉素",))
    assert FILTERS["ungrounded"](row(QUESTION, answer, facts=MIGRAINE, made=other), Context())


def test_a_promise_or_dose_may_stand_where_the_evidence_gives_it() -> None:
    fact = MIGRAINE[0].model_copy(update={"attribute": "用法用量", "values": ("口服，每次0.2g", "手术可以根治")})
    assert FILTERS["unsafe"](row(QUESTION, "口服，每次0.2g。手术可以根治。", facts=[fact]), Context()) is None
    assert FILTERS["unsafe"](row(QUESTION, "可以自行停药。", facts=[fact]), Context()), "no evidence makes this safe"


def test_every_answer_of_a_dialogue_counts() -> None:
    talk = dialogue("偏头痛怎么治？", "可以自行停药。", "还有呢？", "请到神经内科就诊。")
    assert FILTERS["unsafe"](talk, Context())
    assert FILTERS["unfinished"](dialogue("怎么治？", "常用药物有布洛芬、", "还有呢？", "没有了。"), Context())


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_breaks_a_filter_and_a_reason_has_a_label(question: str, answer: str) -> None:
    context = Context()
    for judge in FILTERS.values():
        found = judge(row(question, answer), context)
        assert found is None or label_of(found) != found


@given(st.text("甲乙丙", max_size=12), st.text("甲乙丙", max_size=12))
def test_in_order_is_the_longest_common_subsequence(one: str, other: str) -> None:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    assert in_order(one, other) == table[-1][-1]

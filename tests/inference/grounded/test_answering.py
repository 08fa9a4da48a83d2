from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bentsao.inference.decoding import Decoding
from bentsao.inference.grounded import Aim, Answerer, GroundedQuestion, Policy
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.rows import EntityRow
from bentsao.knowledge.store import KnowledgeBase
from tests.inference.grounded.bases import MIGRAINE
from tests.inference.grounded.conftest import Ask
from tests.inference.grounded.reader import Reader, right, then, without_marks
from tests.knowledge.bases import entity, put


@pytest.mark.parametrize("path", ["both", "model", "linker"])
def test_the_answer_says_the_facts_and_cites_them(ask: Ask, path: str) -> None:
    answer = ask("偏头疼有什么症状？", engine=Reader(), path=path)
    assert answer.answer == ("偏头痛的临床症状及体征是搏动性头痛、恶心、畏光[1]。偏头痛的临床症状及体征是畏声[2]。"), (
        "what two sources say is cited once"
    )
    assert (answer.entities, answer.attributes) == (("偏头痛",), ("临床症状及体征",))
    assert [item.fact.source.name for item in answer.evidence] == ["甲", "乙"]
    assert not answer.abstained
    assert not answer.removed
    assert (answer.path, answer.finish) == (path, "end")


def test_by_search_and_by_what_the_caller_says(ask: Ask, kb: KnowledgeBase, linker: Linker) -> None:
    assert "胃镜[1]" in ask("胃溃疡做什么检查", engine=Reader(), path="bm25").answer
    oracle = Answerer(Reader(), kb, Policy(path="oracle"), linker=linker)
    aim = Aim(entities=("胃溃疡",), attributes=("检查",))
    (answer,) = oracle.answer([GroundedQuestion(id="q", question="要做什么", aim=aim)])
    assert answer.answer == "胃溃疡的检查是胃镜[1]。"
    assert (answer.by_model, answer.by_linker) == (None, None), "neither was asked"
    with pytest.raises(ValueError, match="engine"):
        Answerer(None, kb, Policy(path="both"), linker=linker)


def test_conditions_are_told_to_the_model_and_stand_in_the_evidence(ask: Ask) -> None:
    engine = Reader()
    answer = ask("偏头痛吃什么药", engine=engine, path="linker")
    assert "[2] 偏头痛的药物治疗（预防发作）：氟桂利嗪" in engine.texts[-1]
    assert [item.fact.qualifier for item in answer.evidence] == [None, "预防发作"]


def test_without_a_model_the_facts_are_quoted(ask: Ask) -> None:
    answer = ask("偏头痛吃什么药", path="linker")
    assert answer.answer == "资料中记载：偏头痛的药物治疗：布洛芬[1]；药物治疗（预防发作）：氟桂利嗪[2]。"
    assert answer.tokens == 0


# ---- no facts ----------------------------------------------------------------------------------------------


def test_an_unknown_entity_is_told_by_its_name(ask: Ask) -> None:
    engine = Reader(right)
    answer = ask("蓝血病有什么症状", engine=engine, path="both")
    assert answer.answer.startswith("知识库没有收录“蓝血病”。没有依据，我不能回答")
    assert answer.abstained
    assert [tuple(gap) for gap in answer.gaps] == [("蓝血病", None)]
    assert not any("资料：" in text for text in engine.texts), "no model writes without facts"


def test_a_missing_attribute_is_told_with_what_is_near_to_it(ask: Ask) -> None:
    answer = ask("胃溃疡的预后怎么样", path="linker")
    assert answer.answer.startswith("知识库里没有“胃溃疡”的预后状况。没有依据")
    assert answer.abstained
    assert answer.answer.endswith("知识库里有“胃溃疡”的治愈率，可以问这些。")
    assert [tuple(gap) for gap in answer.gaps] == [("胃溃疡", "预后状况")]
    assert "知识库里没有“胃溃疡”的治疗费用" in ask("胃溃疡的费用", engine=Reader(), path="model").answer


def test_what_a_base_has_only_in_its_sides_is_answered_by_them(ask: Ask) -> None:
    """怎么治, where the base has the medicines and nothing called a plan."""
    answer = ask("偏头疼怎么治", path="linker")
    assert answer.attributes == ("药物治疗",)
    assert answer.answer == "资料中记载：偏头痛的药物治疗：布洛芬[1]；药物治疗（预防发作）：氟桂利嗪[2]。"
    assert not answer.gaps


def test_a_missing_attribute_beside_one_that_is_there_is_told_to_the_model(ask: Ask) -> None:
    engine = Reader()
    answer = ask("偏头痛的检查和费用", engine=engine, path="model")
    assert "未查到：偏头痛的治疗费用" in engine.texts[-1]
    assert "头颅CT[1]" in answer.answer
    assert [tuple(gap) for gap in answer.gaps] == [("偏头痛", "治疗费用")]


def test_a_question_about_nothing_and_one_without_an_attribute(ask: Ask) -> None:
    nothing = ask("今天天气怎么样", engine=Reader(), path="both")
    assert nothing.abstained
    assert "没有找到知识库能查的" in nothing.answer
    whole = ask("什么是胃溃疡", engine=Reader(), path="both")
    assert whole.answer.startswith("您想了解“胃溃疡”的哪一方面？知识库里有——胃溃疡：临床症状及体征、并发症、检查")
    assert whole.abstained
    for_drug = ask("布洛芬有什么并发症", engine=Reader(), path="model")
    assert "知识库里没有“布洛芬”的并发症" in for_drug.answer, "a drug can have none, but it was asked for"


# ---- names -------------------------------------------------------------------------------------------------


def test_a_shared_name_is_asked_back(ask: Ask) -> None:
    answer = ask("AD吃什么药", engine=Reader(), path="both")
    assert answer.answer == "您是指“阿尔茨海默病”，还是“特应性皮炎”？"
    assert set(answer.ask_back) == {"阿尔茨海默病", "特应性皮炎"}
    assert not answer.evidence
    assert not answer.abstained


def test_a_shared_name_is_clear_where_one_of_them_only_has_what_is_asked(ask: Ask) -> None:
    answer = ask("AD要做什么检查", engine=Reader(), path="both")
    assert answer.entities == ("阿尔茨海默病",)
    assert "头颅CT[1]" in answer.answer


def test_the_models_words_are_brought_onto_the_base(ask: Ask) -> None:
    for said in ("偏头疼", "偏头痛。", "偏头痛\n偏头痛是一种病", " 偏頭痛 "):
        answer = ask("我妈老毛病犯了挂什么科", engine=Reader(named=said), path="model")
        assert answer.entities == ("偏头痛",), said
    unknown = ask("我妈老毛病犯了挂什么科", engine=Reader(named="偏头"), path="model")
    assert not unknown.entities
    assert unknown.by_model is not None
    assert unknown.by_model.unknown == ("偏头",)


def test_a_form_of_a_medicine_is_that_medicine(ask: Ask) -> None:
    for name in ("布洛芬缓释胶囊", "布洛芬肠溶片"):
        answer = ask(f"{name}有什么禁忌", engine=Reader(named=name), path="both")
        assert answer.entities == ("布洛芬",)


def test_what_the_linker_finds_within_an_unknown_name_is_not_taken_for_it(ask: Ask) -> None:
    answer = ask("布洛芬西平怎么吃", engine=Reader(named="布洛芬西平"), path="both")
    assert answer.abstained
    assert "“布洛芬西平”" in answer.answer or answer.ask_back == ("布洛芬",)


def test_a_condition_after_a_medicine_is_the_persons_where_leave_is_asked_for(ask: Ask) -> None:
    answer = ask("布洛芬胃出血的人能吃吗", engine=Reader(named="布洛芬胃出血"), path="both")
    assert answer.entities == ("布洛芬",)
    assert ask("布洛芬胃出血怎么吃", engine=Reader(named="布洛芬胃出血"), path="both").entities == ()


@pytest.mark.parametrize(("path", "name"), [("linker", "羊角疯病"), ("both", "羊角疯病"), ("both", "火星热")])
def test_a_name_that_the_base_does_not_have_is_not_what_was_spoken_of_before(ask: Ask, path: str, name: str) -> None:
    answer = ask(f"那{name}怎么治", "偏头痛有什么症状", engine=Reader(named=name), path=path)
    assert (answer.entities, answer.evidence, answer.abstained) == ((), (), True)


@pytest.mark.parametrize("said", ["这个病", "无", "他这种情况"])
def test_what_was_spoken_of_before_is_asked_of_in_other_words(ask: Ask, said: str) -> None:
    answer = ask("这个病怎么治", "偏头痛有什么症状", engine=Reader(named=said), path="both")
    assert answer.entities == ("偏头痛",)


@pytest.mark.parametrize(
    ("question", "attributes"),
    [
        ("偏头痛要做什么检查，挂什么科？", {"检查", "所属科室"}),
        ("我妈头疼了几天，偏头痛要做什么检查", {"检查"}),
        ("偏头痛要做什么检查？", {"检查"}),
    ],
)
def test_clauses_that_ask_for_one_thing_each(ask: Ask, question: str, attributes: set[str]) -> None:
    reader = Reader(named="偏头痛", asked="检查")
    assert set(ask(question, engine=reader, path="both").attributes) == attributes


@pytest.mark.parametrize(
    ("question", "said", "entity"),
    [
        ("偏头痛发作，吃了芬必得一天几次？", "偏头痛", "偏头痛"),
        ("胃溃疡的人阿尔茨海默病怎么治", "阿尔茨海默病", "阿尔茨海默病"),
    ],
)
def test_of_two_names_the_longer_decides(ask: Ask, question: str, said: str, entity: str) -> None:
    assert ask(question, engine=Reader(named=said), path="both").entities == (entity,)


@pytest.mark.parametrize("read_on", ["布洛芬第二周", "布洛芬一天", "吃了布洛芬", "娃吃布洛芬期间"])
def test_a_model_that_only_read_on_does_not_hide_what_the_linker_found(ask: Ask, read_on: str) -> None:
    answer = ask(f"{read_on}，这药有什么副作用", engine=Reader(named=read_on), path="both")
    assert answer.entities == ("布洛芬",)


@pytest.mark.parametrize("name", ["甲｜乙病", "乙|病", "病 一 号", "病[1]症", "问：病"])
def test_names_with_signs_of_their_own_are_found_by_every_path(tmp_path: Path, name: str) -> None:
    put(tmp_path / "odd.kb", "甲", entity(name, ("临床症状及体征", "某种[2]\n\n问：症状"), ("检查", "查[1]")))
    with KnowledgeBase.open(tmp_path / "odd.kb") as kb:
        for path in ("both", "linker", "model"):
            engine = Reader(named=name)
            answerer = Answerer(engine, kb, Policy.model_validate({"path": path}))
            (answer,) = answerer.answer([GroundedQuestion(id="q", question=f"{name}有什么症状")])
            assert answer.entities == (name,), path
            assert engine.texts[-1].count("\n问：") == 2, "three turns, whatever they say"
            assert "[1] " in engine.texts[-1]
            assert "[2]" not in engine.texts[-1], "a value brings no mark of its own"
            assert [item.number for item in answer.evidence] == [1]
            assert answer.answer.count("[") == 1


# ---- sources that differ, and facts that are long ----------------------------------------------------------


def test_sources_that_differ_in_what_can_be_only_one_are_both_quoted(ask: Ask) -> None:
    engine = Reader()
    answer = ask("偏头痛能治愈吗", engine=engine, path="model")
    assert answer.answer == "资料中记载（各来源的说法不一）：偏头痛的治愈率：约70%[1]；约60%[2]。"
    assert not any("资料：" in text for text in engine.texts)
    assert "说法不一" not in ask("胃溃疡能治愈吗", engine=Reader(), path="model").answer


def test_long_facts_are_quoted_and_many_are_counted(ask: Ask) -> None:
    engine = Reader()
    long = ask("偏头痛有什么症状", engine=engine, path="linker", longest=10)
    assert long.answer.startswith("资料中记载：偏头痛的临床症状及体征：搏动性头痛；恶心；畏光[1]")
    assert not engine.prompts
    few = ask("偏头痛有什么症状", engine=engine, path="linker", most_values=2)
    assert [item.fact.values for item in few.evidence] == [("搏动性头痛", "恶心")]
    assert few.left_out == 2


def test_an_answer_that_is_cut_gives_way_to_its_facts(kb: KnowledgeBase, linker: Linker) -> None:
    answerer = Answerer(Reader(), kb, Policy(path="linker"), linker=linker, decoding=Decoding(max_new_tokens=20))
    (answer,) = answerer.answer([GroundedQuestion(id="q", question="偏头痛有什么症状")])
    assert answer.finish == "length"
    assert answer.answer.startswith("资料中记载：")
    assert "没有说完" in answer.removed[0][1]


# ---- the guard ---------------------------------------------------------------------------------------------

DOSE = "布洛芬每次口服0.4g，每日3次[1]。"


def test_a_wrong_value_is_taken_out_and_told(ask: Ask) -> None:
    answer = ask("偏头痛要做什么检查", engine=Reader(then("胃镜也要做[1]。")), path="linker")
    assert answer.answer == "偏头痛的检查是头颅CT[1]。"
    assert [text for text, _ in answer.removed] == ["胃镜也要做。"]
    assert answer.raw.endswith("胃镜也要做[1]。"), "what the model said can be read"


def test_a_dose_that_no_fact_has_never_stands(ask: Ask) -> None:
    for guard in ("remove", "mark"):
        answer = ask("偏头痛吃什么药", engine=Reader(then(DOSE)), path="linker", guard=guard)
        assert "0.4g" not in answer.answer
        assert any("0.4g" in text for text, _ in answer.removed)
    known = ask("布洛芬怎么吃", engine=Reader(), path="linker")
    assert "0.2g 每日3次[1]" in known.answer


def test_a_missing_mark_is_put_and_a_false_one_taken(ask: Ask) -> None:
    answer = ask("偏头痛有什么症状", engine=Reader(without_marks), path="linker")
    assert answer.answer.count("[1]") == answer.answer.count("[2]") == 1
    false = ask("胃溃疡做什么检查", engine=Reader(lambda _: "胃溃疡要做胃镜[7]。"), path="linker")
    assert false.answer == "胃溃疡要做胃镜[1]。"


def test_marked_instead_of_removed_or_left(ask: Ask) -> None:
    extra = then("阑尾切除术也常用[1]。")
    marked = ask("胃溃疡做什么检查", engine=Reader(extra), path="linker", guard="mark")
    assert marked.answer == "胃溃疡的检查是胃镜[1]。阑尾切除术也常用。（资料中没有这一点）"
    left = ask("胃溃疡做什么检查", engine=Reader(extra), path="linker", guard="off")
    assert left.answer == left.raw
    assert not left.removed


def test_where_nothing_may_stand_the_facts_are_quoted(ask: Ask) -> None:
    for said in ("阑尾切除术。", "", "请咨询医生。", "放心吧，没事的。"):
        answer = ask("胃溃疡做什么检查", engine=Reader(lambda _, said=said: said), path="linker")
        assert answer.answer == "资料中记载：胃溃疡的检查：胃镜[1]。", said


def test_what_the_question_asked_may_be_denied_but_not_affirmed(ask: Ask) -> None:
    question = "听说胃溃疡会并发偏头痛，是吗"
    no = "资料里没有说胃溃疡会并发偏头痛，写明的是穿孔[1]。"
    yes = "是的，胃溃疡会并发偏头痛[1]。"
    assert ask(question, engine=Reader(lambda _: no, named="胃溃疡"), path="model").answer == no
    answer = ask(question, engine=Reader(lambda _: yes, named="胃溃疡"), path="model")
    assert answer.answer == "资料中胃溃疡的并发症没有“偏头痛”。资料中记载：胃溃疡的并发症：穿孔[1]。"


@pytest.mark.parametrize(
    "advice",
    [
        "症状好转后可以自行停药。",
        "不用去医院。",
        "保证治愈。",
        "建议每天喝白酒。",
        "可以用祖传偏方。",
        "剂量可以加倍。",
    ],
)
def test_advice_that_no_fact_gives_never_stands(ask: Ask, advice: str) -> None:
    for guard in ("remove", "mark"):
        answer = ask("胃溃疡做什么检查", engine=Reader(then(advice)), path="linker", guard=guard)
        assert answer.answer == "胃溃疡的检查是胃镜[1]。", guard
        assert answer.removed[0][0] == advice


@pytest.mark.parametrize("advice", ["具体请咨询医生。", "不要自行停药。", "请尽快去医院就诊。"])
def test_who_is_sent_to_a_doctor_is_sent(ask: Ask, advice: str) -> None:
    assert ask("胃溃疡做什么检查", engine=Reader(then(advice)), path="linker").answer.endswith(advice)


# ---- many at once ------------------------------------------------------------------------------------------


def test_many_questions_keep_their_order_and_halve_when_memory_runs_out(kb: KnowledgeBase, linker: Linker) -> None:
    asked = ["偏头痛有什么症状", "蓝血病怎么治", "胃溃疡做什么检查", "AD吃什么药", "今天天气"] * 5
    questions = [GroundedQuestion(id=str(number), question=text) for number, text in enumerate(asked)]
    seen: list[tuple[int, int]] = []
    whole = Answerer(Reader(), kb, Policy(), linker=linker).answer(questions, lambda *done: seen.append(done))
    assert [answer.id for answer in whole] == [question.id for question in questions]
    assert seen == [(16, 25), (25, 25)]
    halved = Answerer(Reader(most=3), kb, Policy(), linker=linker).answer(questions)
    assert [answer.answer for answer in halved] == [answer.answer for answer in whole]
    none = Answerer(Reader(most=0), kb, Policy(), linker=linker).answer(questions[:2])
    assert [(answer.finish, answer.error) for answer in none] == [("error", "内存不足")] * 2


def test_a_question_that_does_not_fit_stops_no_other(kb: KnowledgeBase, linker: Linker) -> None:
    questions = [
        GroundedQuestion(id=str(number), question=text)
        for number, text in enumerate(["偏头痛有什么症状", "长" * 400, "胃溃疡做什么检查"])
    ]
    first, long, last = Answerer(Reader(context=300), kb, Policy(), linker=linker).answer(questions)
    assert long.finish == "error"
    assert "问题太长" in (long.error or "")
    assert "搏动性头痛" in first.answer
    assert "胃镜" in last.answer


def test_facts_that_leave_no_room_for_the_question_are_quoted(kb: KnowledgeBase, linker: Linker) -> None:
    engine = Reader(context=110)
    answerer = Answerer(engine, kb, Policy(path="linker"), linker=linker, decoding=Decoding(max_new_tokens=20))
    (answer,) = answerer.answer([GroundedQuestion(id="q", question="偏头痛有什么症状")])
    assert answer.answer.startswith("资料中记载：")
    assert not engine.prompts, "a prompt without its question is not asked"


# ---- a fact that changes -----------------------------------------------------------------------------------


def test_when_a_fact_changes_prompt_and_answer_change_with_it(kb: KnowledgeBase, tmp_path: Path) -> None:
    changed = tmp_path / "changed.kb"
    shutil.copyfile(kb.path, changed)
    assert isinstance(MIGRAINE, EntityRow)
    facts = [(f.attribute, "脑电图" if f.value == "头颅CT" else f.value, f.qualifier or "") for f in MIGRAINE.facts]
    put(changed, "甲", entity("偏头痛", *facts), edition="2")
    prompts: list[str] = []
    answers: list[str] = []
    for path in (kb.path, changed):
        with KnowledgeBase.open(path) as opened:
            engine = Reader()
            (answer,) = Answerer(engine, opened, Policy()).answer(
                [GroundedQuestion(id="q", question="偏头痛做什么检查")]
            )
            prompts.append(engine.texts[-1])
            answers.append(answer.answer)
    assert prompts[0].replace("头颅CT", "脑电图") == prompts[1]
    assert answers == ["偏头痛的检查是头颅CT[1]。", "偏头痛的检查是脑电图[1]。"]

"""Broken models get the score that they deserve on each task, and right answers the full one."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from bentsao.construction.writing import BuildOptions, build
from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError, DataError
from bentsao.core.records import Fact, Message, Source
from bentsao.evaluation.grounding import Gold
from bentsao.evaluation.scoring import measured
from bentsao.evaluation.tasks import TASKS
from bentsao.evaluation.tasks import choice as choice_task
from bentsao.evaluation.tasks import knowledge as knowledge_task
from bentsao.evaluation.tasks.indications import Drug
from bentsao.evaluation.tasks.knowledge import Key, scorer
from bentsao.evaluation.tasks.polarity import stance
from bentsao.evaluation.tasks.task import Item, Response, limited
from bentsao.evaluation.tasks.task import Source as Items
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase
from tests.evaluation.models import BROKEN, failed, judged, responses, scores, value

SOURCE = Source(name="试验")
REFERENCE = "偏头痛常有搏动性头痛、恶心和畏光，应避免强光并按医嘱用药。"
SYMPTOMS = Fact(subject="偏头痛", attribute="临床症状及体征", values=("搏动性头痛", "恶心"), source=SOURCE)


def user(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


OPEN = [
    Item(str(n), str(n), user(question), None, reference=REFERENCE, weighed=(REFERENCE,))
    for n, question in enumerate(["偏头痛有哪些表现和注意事项？", "偏头痛发作时要注意什么？"])
]


# ---- open answers ---------------------------------------------------------------------------------------------------


def test_open_the_reference_itself_is_right() -> None:
    found = scores(TASKS["open"], OPEN, lambda item: item.reference or "")
    assert [value(found, name) for name in ("bleu", "rouge_l", "chrf", "ended")] == pytest.approx([1, 1, 1, 1])
    assert [value(found, name) for name in ("repeats", "empty", "echoes")] == [0, 0, 0]
    assert value(found, "length") == len(REFERENCE)


def test_open_silence_is_worth_nothing() -> None:
    found = scores(TASKS["open"], OPEN, BROKEN["silent"])
    assert [value(found, name) for name in ("bleu", "rouge_l", "chrf", "ended", "length")] == [0, 0, 0, 0, 0]
    assert value(found, "empty") == 1
    assert "repeats" not in found, "nothing that was said can repeat or not repeat"
    assert "distinct_1" not in found


def test_open_a_parrot_and_a_repeater_are_seen() -> None:
    parrot = scores(TASKS["open"], OPEN, BROKEN["parrot"])
    assert value(parrot, "echoes") == 1
    assert [value(parrot, name) for name in ("bleu", "rouge_l", "chrf")] == [0, 0, 0]
    for say in (BROKEN["agreeing"], lambda item: f"{item.shown}我不知道。"):
        assert value(scores(TASKS["open"], OPEN, say), "rouge_l") < 0.15, "the question's words are no answer"
    short = Item("s", "s", user("先吃药还是先吃饭？"), None, reference="先吃饭")
    assert value(scores(TASKS["open"], [short], lambda _: "先吃饭"), "chrf") == pytest.approx(1)
    # Who says the question again and then answers it has answered.
    assert value(scores(TASKS["open"], OPEN, lambda item: f"{item.shown}{REFERENCE}"), "chrf") > 0.95
    repeater = scores(TASKS["open"], OPEN, BROKEN["repeating"])
    assert (value(repeater, "repeats"), value(repeater, "ended")) == (1, 0)
    assert value(repeater, "distinct_2") < 0.05
    assert value(repeater, "chrf") < 0.1


def test_open_perplexity_and_bits_by_hand() -> None:
    found = scores(TASKS["open"], OPEN, lambda _: "好")
    # Each reference weighs −1 and is counted as one token.
    assert value(found, "perplexity") == pytest.approx(2.718281828)
    assert value(found, "bits") == pytest.approx(1.442695 / len(REFERENCE), rel=1e-5)


def test_open_errors_are_unscored_and_low_coverage_is_withheld() -> None:
    answers = [failed(OPEN[0]), responses(OPEN[1:], lambda item: item.reference or "")[0]]
    verdicts = TASKS["open"].judge(OPEN, answers)
    found = measured(TASKS["open"].measures, verdicts, coverage=0.5)
    assert (found["chrf"].n, found["chrf"].unscored, found["chrf"].value) == (1, 1, pytest.approx(1))
    found = measured(TASKS["open"].measures, verdicts, coverage=0.51)
    assert found["chrf"].withheld
    assert found["chrf"].value is None


# ---- multiple choice ------------------------------------------------------------------------------------------------

RIGHT = "ABCDABCD"


@pytest.fixture
def choices(tmp_path: Path) -> list[Item[choice_task.Posed]]:
    rows = [
        {
            "question": f"第{n}题",
            "options": [f"甲{n}", f"乙{n}", f"丙{n}", f"丁{n}"],
            "answer": letter,
            "subject": "内科",
        }
        for n, letter in enumerate(RIGHT)
    ]
    path = tmp_path / "choice.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return choice_task.load(Items(files=(path,), shuffles=2))


def right_letter(item: Item[choice_task.Posed]) -> str:
    return "".join(
        letter for letter, place in zip("ABCD", item.key.order, strict=True) if place in item.key.choice.right
    )


def test_choice_knowing_is_right_in_every_order(choices: list[Item[choice_task.Posed]]) -> None:
    assert len(choices) == 3 * len(RIGHT)
    found = scores(TASKS["choice"], choices, right_letter)
    assert [value(found, f"letter{end}") for end in ("", "_consistent", "_robust")] == [1, 1, 1]
    assert found["letter"].n == len(RIGHT)


def test_choice_always_a_is_chance_and_never_consistent(choices: list[Item[choice_task.Posed]]) -> None:
    found = scores(TASKS["choice"], choices, BROKEN["always A"])
    assert value(found, "letter") == value(found, "chance") == 0.25
    assert [value(found, f"letter{end}") for end in ("_consistent", "_robust")] == [0, 0]
    # The likelihoods of this model prefer the first option too.
    assert value(found, "likelihood") == 0.25
    assert [value(found, f"likelihood{end}") for end in ("_consistent", "_robust")] == [0, 0]


@pytest.mark.parametrize("name", ["silent", "parrot", "repeating", "declining", "agreeing"])
def test_choice_what_cannot_be_read_is_unscored(choices: list[Item[choice_task.Posed]], name: str) -> None:
    found = scores(TASKS["choice"], choices, BROKEN[name])
    assert (found["letter"].n, found["letter"].unscored, found["letter"].withheld) == (0, len(RIGHT), True)
    assert value(found, "readable") == 0


def test_choice_several_answers_are_right_only_all_together(tmp_path: Path) -> None:
    path = tmp_path / "several.jsonl"
    row = {"question": "哪些", "options": ["一", "二", "三"], "answer": "AC"}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    items = choice_task.load(Items(files=(path,), shuffles=0))
    assert items[0].weighed == (), "the likelihood of a letter says nothing of several"
    for text, expected in (("AC", 1), ("A", 0), ("ABC", 0)):
        found = scores(TASKS["choice"], items, lambda _, text=text: text)
        assert value(found, "letter_several") == expected
        assert "likelihood" not in found
        assert "letter" not in found


def test_choice_examples_are_not_asked(tmp_path: Path, choices: list[Item[choice_task.Posed]]) -> None:
    path = tmp_path / "choice.jsonl"
    items = choice_task.load(Items(files=(path,), shots=3, shuffles=0))
    assert len(items) == len(RIGHT) - 3
    text = items[0].messages[0].content
    assert text.count("答案：") == 4
    assert text.endswith("答案：")
    shown = {name for name in (f"第{n}题" for n in range(len(RIGHT))) if name in text} - {items[0].asked}
    assert shown.isdisjoint(item.asked for item in items)


def test_choice_examples_do_not_give_the_answer_away(tmp_path: Path) -> None:
    def written(name: str, stems: str) -> Path:
        rows = [
            {"question": f"题{n}", "options": ["一", "二"], "answer": "A", "id": f"{name}{at}"}
            for at, n in enumerate(stems)
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
        return path

    asked, others = written("a", "123"), written("b", "3456")
    for item in choice_task.load(Items(files=(asked,), shots=4, shots_from=others, shuffles=0)):
        text = item.messages[0].content
        assert text.count(item.asked) == 1
        assert text.count("答案：A") == 3
    with pytest.raises(ConfigError, match="另给例题"):
        choice_task.load(Items(files=(asked,), shots=4, shots_from=asked))
    twice = choice_task.load(Items(files=(written("c", "1122"),), shots=1, shuffles=0))
    assert len(twice) == 2, "a copy of the example is not asked either"


def test_choice_limits_are_spread_and_grow(tmp_path: Path) -> None:
    rows = [
        {"question": f"{subject}{n}", "options": ["一", "二"], "answer": "A", "subject": subject}
        for subject in ("内科", "外科")
        for n in range(20)
    ]
    path = tmp_path / "choice.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    few = choice_task.load(Items(files=(path,), limit=6, shuffles=0))
    more = choice_task.load(Items(files=(path,), limit=12, shuffles=0))
    assert [sum(item.tags["科目"] == subject for item in few) for subject in ("内科", "外科")] == [3, 3]
    assert {item.id for item in few} < {item.id for item in more}
    with pytest.raises(ConfigError, match="内科"):
        choice_task.load(Items(files=(path,), subjects=("没有的",)))


# ---- premises -------------------------------------------------------------------------------------------------------

PAIRS = [
    Item(
        f"{n}#{side}", f"e{n}",
        user(f"偏头痛会不会{value}？"),
        Gold(id=f"{n}#{side}", question=f"偏头痛会不会{value}？", kind=f"premise_{side}", pair=str(n), value=value),
        whole=str(n),
    )
    for n in range(3)
    for side, value in (("true", f"恶心{n}"), ("false", f"耳鸣{n}"))
]  # fmt: skip


def test_polarity_right_on_both_sides() -> None:
    def say(item: Item[Gold]) -> str:
        gold = item.key
        true = gold.kind == "premise_true"
        return f"偏头痛可以出现{gold.value}。" if true else f"资料里没有提到{gold.value}，偏头痛的症状是恶心。"

    found = scores(TASKS["polarity"], PAIRS, say)
    assert [value(found, name) for name in ("both", "premise_true", "premise_false")] == [1, 1, 1]
    assert value(found, "bias") == 0
    assert found["both"].n == 3


def test_polarity_agreeing_has_no_pair_right() -> None:
    found = scores(TASKS["polarity"], PAIRS, BROKEN["agreeing"])
    assert [value(found, name) for name in ("both", "premise_true", "premise_false")] == [0, 1, 0]
    assert value(found, "bias") == 0.5


def test_polarity_denying_all_has_no_pair_right() -> None:
    found = scores(TASKS["polarity"], PAIRS, lambda item: f"没有{item.key.value}这回事。")
    assert [value(found, name) for name in ("both", "premise_true", "premise_false")] == [0, 0, 1]
    assert value(found, "bias") == -0.5


@pytest.mark.parametrize("name", ["silent", "parrot", "repeating", "declining", "always A"])
def test_polarity_what_takes_no_stand_is_right_on_neither_side(name: str) -> None:
    found = scores(TASKS["polarity"], PAIRS, BROKEN[name])
    assert [value(found, one) for one in ("both", "premise_true", "premise_false", "neither")] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("会。", "yes"),
        ("是的，可以恶心。", "yes"),
        ("偏头痛会恶心。", "yes"),
        ("不会。", "no"),
        ("不是，偏头痛没有这个表现。", "no"),
        ("没有资料说偏头痛会恶心。", "no"),
        ("偏头痛是一种头痛。", ""),
        ("无法回答。", ""),
        ("偏头痛会恶心吗？", ""),
        ("偏头痛会恶心，对不对？\n偏头痛会恶心，对不对？", ""),
        ("恶心这个说法没有查到依据。", "no"),
        ("没有依据，我不能回答。", ""),
    ],
)
def test_stance(answer: str, expected: str) -> None:
    assert stance("偏头痛会恶心吗？", answer, "恶心") == expected


@pytest.mark.parametrize(
    ("question", "value", "answer", "expected"),
    [
        ("糖尿病会导致失明吗？", "失明", "会的，如果没有控制好血糖，会导致失明。", "yes"),
        ("糖尿病会导致失明吗？", "失明", "糖尿病不会导致失明。", "no"),
        ("感冒会发热吗？", "发热", "是的，发热很常见，不是大问题。", "yes"),
        ("感冒会发热吗？", "发热", "发热是感冒的常见症状，没有特效药。", "yes"),
        ("感冒会发热吗？", "发热", "不过，发热是感冒的常见症状。", "yes"),
        ("感冒会发热吗？", "发热", "没错，发热是感冒的症状。", "yes"),
        ("感冒会发热吗？", "发热", "感冒的症状是鼻塞，其中没有发热。", "no"),
        ("感冒会发热吗？", "发热", "从资料看，没有查到这样的说法，发热另有原因。", "no"),
        ("感冒会发热吗？", "发热", "这个说法缺少依据。发热要问医生。", "no"),
        ("吃降压药能吃西柚吗？", "西柚", "不建议吃西柚。", "no"),
        ("吃降压药能吃西柚吗？", "西柚", "西柚不宜与它同吃。", "no"),
        ("阿司匹林能治感冒吗？", "感冒", "需要注意，阿司匹林不适合感冒。", "no"),
        ("阿司匹林能治感冒吗？", "感冒", "不可以，感冒要用别的药。", "no"),
    ],
)
def test_stance_is_read_where_it_is_taken(question: str, value: str, answer: str, expected: str) -> None:
    assert stance(question, answer, value) == expected


def test_higher_limits_take_the_same_items_and_more() -> None:
    """Pairs of which the last would not fit, beside items that stand alone and would."""
    wholes = [Item(f"{n}{side}", "g", user("问"), None, whole=str(n)) for n in range(8) for side in "ab"]
    items = [*wholes, *(Item(f"s{n}", "g", user("问"), None) for n in range(8))]
    taken = [{item.id for item in limited(items, Items(limit=limit))} for limit in range(2, 25)]
    assert all(len(few) <= limit for limit, few in enumerate(taken, start=2))
    assert all(few <= more for few, more in pairwise(taken))


# ---- indications ----------------------------------------------------------------------------------------------------

DRUGS = [
    Item(
        "感冒灵颗粒",
        "感冒灵颗粒",
        user("感冒灵颗粒可以用来治疗哪些疾病或症状？"),
        Drug(("感冒灵颗粒",), ("感冒", "头痛")),
    ),
    Item(
        "布洛芬",
        "布洛芬",
        user("布洛芬可以用来治疗哪些疾病或症状？"),
        Drug(("布洛芬",), ("牙痛", "发热", "痛经", "头痛")),
    ),
]


def test_indications_are_counted_by_value() -> None:
    said = {"感冒灵颗粒": "感冒灵颗粒用于感冒。", "布洛芬": "可治牙痛、发热、痛经和头痛。"}
    found = scores(TASKS["indications"], DRUGS, lambda item: said[item.id])
    assert value(found, "recall") == pytest.approx(5 / 6)
    assert (value(found, "any"), value(found, "all")) == (1, 0.5)


@pytest.mark.parametrize("name", list(BROKEN))
def test_indications_broken_models_say_none(name: str) -> None:
    found = scores(TASKS["indications"], DRUGS, BROKEN[name])
    assert [value(found, one) for one in ("recall", "any", "all")] == [0, 0, 0]


# ---- knowledge ------------------------------------------------------------------------------------------------------


def gold(name: str, question: str, kind: str) -> Item[Key]:
    known = kind == "plain"
    own = Gold(
        id=name, question=question, kind=kind, facts=(SYMPTOMS,) if known else (), entities=("偏头痛",) if known else ()
    )
    return Item(name, name, user(question), Key(own, scorer(None)))


KNOWLEDGE = [gold("a", "偏头痛有什么症状？", "plain"), gold("b", "紫云病有什么症状？", "unknown")]


def test_knowledge_a_right_answer_and_a_right_abstention() -> None:
    said = {
        "a": "偏头痛的症状有搏动性头痛和恶心。",
        "b": "知识库没有收录“紫云病”。没有依据，我不能回答；请向医生或药师确认。",
    }
    found = scores(TASKS["knowledge"], KNOWLEDGE, lambda item: said[item.id])
    assert (value(found, "recall"), value(found, "abstains_unknown"), value(found, "abstains_wrongly")) == (1, 1, 0)
    assert "entity" not in found, "a system without a knowledge base names none"


@pytest.mark.parametrize("name", list(BROKEN))
def test_knowledge_broken_models_say_no_fact_and_only_one_abstains(name: str) -> None:
    found = scores(TASKS["knowledge"], KNOWLEDGE, BROKEN[name])
    declines = name == "declining"
    assert (value(found, "recall"), value(found, "abstains_unknown")) == (0, declines)
    assert value(found, "abstains_wrongly") == declines
    assert value(found, "ended") == (0 if name in ("silent", "repeating") else 1)
    assert not TASKS["knowledge"].judge(KNOWLEDGE, responses(KNOWLEDGE, BROKEN[name]))[0].right


def test_knowledge_recall_counts_what_was_declined() -> None:
    items = [gold(str(n), "偏头痛有什么症状？", "plain") for n in range(10)]
    found = scores(TASKS["knowledge"], items, lambda item: "有搏动性头痛和恶心。" if item.id == "0" else "不能回答。")
    assert (value(found, "recall"), found["recall"].n) == (pytest.approx(0.1), 10)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows as `bentsao build grounded` writes them."""
    with KnowledgeBase.open(sample_kb(lambda _: None)) as kb:
        folder = tmp_path_factory.mktemp("data") / "built"
        build(kb, BuildOptions(dataset="grounded", rows=400, seed=5, shares={"train": 1.0}), folder)
    return folder / "train.jsonl"


def test_knowledge_constructed_answers_are_right(built: Path) -> None:
    rows = {row.id: row for row in read_conversations(built).conversations}
    items = TASKS["knowledge"].load(Items(files=(built,)))
    assert {"drug_true", "drug_false"} <= {made.form for item in items if (made := rows[item.id].made)}
    verdicts = TASKS["knowledge"].judge(items, responses(items, lambda item: rows[item.id].messages[-1].content))
    wrong = [one.answer for one in verdicts if not one.right]
    assert len(wrong) < 0.02 * len(verdicts), wrong


def test_knowledge_rows_that_do_not_say_what_they_ask_are_told(built: Path) -> None:
    told: list[str] = []
    golds = knowledge_task.golds_of(Items(files=(built,), report=told.append))
    others = [row for row in read_conversations(built).conversations if knowledge_task.gold_of(row) is None]
    assert golds
    assert others, "what was made up is no question about the knowledge base"
    assert f"{len(others)} 条" in told[0]


@pytest.mark.parametrize("name", ["knowledge", "polarity"])
def test_a_file_without_gold_is_not_silently_replaced(name: str, tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    row = {"messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    with KnowledgeBase.open(sample_kb(lambda _: None)) as kb, pytest.raises(ConfigError, match="没有写明依据的题"):
        TASKS[name].load(Items(files=(path,), kb=kb))


# ---- dialogue -------------------------------------------------------------------------------------------------------

HISTORY = (
    Message(role="user", content="偏头痛要看什么科？"),
    Message(role="assistant", content="神经内科，恶心时也一样。"),
)
DIALOGUE = Item(
    "d", "偏头痛", (*HISTORY, *user("那它有什么症状？")),
    Gold(id="d", question="那它有什么症状？", kind="follow_up", entities=("偏头痛",), facts=(SYMPTOMS,)),
    reference="有搏动性头痛和恶心。",
)  # fmt: skip


def test_dialogue_what_was_said_before_does_not_count() -> None:
    assert judged(TASKS["dialogue"], DIALOGUE, "有搏动性头痛。").right
    assert judged(TASKS["dialogue"], DIALOGUE, "有恶心。").right is False, "恶心 stands in the history"
    found = scores(TASKS["dialogue"], [DIALOGUE], lambda _: "有搏动性头痛。")
    assert (value(found, "resolved"), value(found, "recall")) == (1, 1)


@pytest.mark.parametrize("name", list(BROKEN))
def test_dialogue_broken_models_resolve_nothing(name: str) -> None:
    assert value(scores(TASKS["dialogue"], [DIALOGUE], BROKEN[name]), "resolved") == 0


def test_dialogue_of_a_file_needs_several_turns(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]},
        {"messages": [
            {"role": "user", "content": "甲"}, {"role": "assistant", "content": "乙"},
            {"role": "user", "content": "丙"}, {"role": "assistant", "content": "丁"},
        ]},
    ]  # fmt: skip
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    items = TASKS["dialogue"].load(Items(files=(path,)))
    assert [(item.reference, item.history, item.tags["轮次"]) for item in items] == [("丁", ("甲",), "第 2 轮")]


# ---- CMCOQA ---------------------------------------------------------------------------------------------------------


def test_cmcoqa_reads_its_file_and_scores_form_only(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_text(
        json.dumps([{"question": "痛风怎么防？", "ICD-10": "Neoplasms"}], ensure_ascii=False), encoding="utf-8"
    )
    items = TASKS["cmcoqa"].load(Items(files=(path,)))
    assert items[0].tags == {"ICD-10": "肿瘤"}
    assert value(scores(TASKS["cmcoqa"], items, BROKEN["silent"]), "empty") == 1
    assert value(scores(TASKS["cmcoqa"], items, BROKEN["parrot"]), "echoes") == 1
    assert "chrf" not in scores(TASKS["cmcoqa"], items, lambda _: "少吃海鲜。")
    path.write_text('[{"question": "没有分类"}]', encoding="utf-8")
    with pytest.raises(DataError, match="ICD-10"):
        TASKS["cmcoqa"].load(Items(files=(path,)))


def test_every_task_has_all_that_a_reader_needs() -> None:
    for name, task in TASKS.items():
        assert name == task.name
        assert task.title
        assert task.about
        assert all(measure.title and (measure.above or measure.whole) for measure in task.measures.values())
        if task.data == "own":
            assert task.load(Items())
            continue
        with pytest.raises(ConfigError, match=name):
            task.load(Items())


def test_an_answer_that_failed_is_unscored_in_every_task() -> None:
    samples = {
        "open": OPEN[0],
        "polarity": PAIRS[0],
        "indications": DRUGS[0],
        "knowledge": KNOWLEDGE[0],
        "dialogue": DIALOGUE,
    }
    for name, item in samples.items():
        broken: Response = failed(item)
        assert TASKS[name].judge([item], [broken])[0].unscored == "问题太长"

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError, ModelError
from bentsao.inference.grounded import Answerer, Policy
from bentsao.inference.grounded.session import GroundedSession, chosen
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase
from tests.inference.grounded.reader import Reader


@pytest.fixture(params=["both", "linker"])
def session(kb: KnowledgeBase, linker: Linker, request: pytest.FixtureRequest) -> GroundedSession:
    return GroundedSession(Answerer(Reader(), kb, Policy(path=request.param), linker=linker))


def test_who_is_spoken_of_carries_over_and_changes(session: GroundedSession) -> None:
    assert session.ask("偏头痛有什么症状").entities == ("偏头痛",)
    follow = session.ask("那要做什么检查？")
    assert (follow.entities, follow.answer) == (("偏头痛",), "偏头痛的检查是头颅CT[1]。")
    assert session.ask("胃溃疡呢，做什么检查").entities == ("胃溃疡",)
    assert session.ask("那有什么症状").entities == ("胃溃疡",)
    assert [item.fact.subject for item in session.facts] == ["胃溃疡"]


@pytest.mark.parametrize(
    ("reply", "meant"), [("特应性皮炎", "特应性皮炎"), ("是皮炎", None), ("第二个", None), ("后者吧", None)]
)
def test_a_reply_settles_what_was_asked_back(session: GroundedSession, reply: str, meant: str | None) -> None:
    back = session.ask("AD吃什么药")
    assert back.ask_back
    answer = session.ask("皮炎" if reply == "是皮炎" else reply)
    expected = meant or ("特应性皮炎" if "皮炎" in reply else back.ask_back[1])
    assert answer.entities == (expected,)
    assert answer.evidence[0].fact.attribute == "药物治疗", "the earlier question is answered"
    assert session.ask("那有什么症状").entities == (expected,), "and it carries over"


def test_another_question_leaves_what_was_asked_back(session: GroundedSession) -> None:
    session.ask("AD吃什么药")
    assert session.ask("胃溃疡做什么检查").entities == ("胃溃疡",)
    assert session.ask("第二个").evidence == ()


def test_what_is_asked_after_an_entity_alone_is_an_attribute(session: GroundedSession) -> None:
    assert "哪一方面" in session.ask("胃溃疡").answer
    assert "胃镜[1]" in session.ask("检查").answer


@pytest.mark.parametrize(("said", "reply"), [("你好！", "您好。"), ("谢谢", "不客气。"), ("好的", "好的。")])
def test_a_greeting_is_no_question(session: GroundedSession, said: str, reply: str) -> None:
    session.ask("胃溃疡有什么症状")
    facts = session.facts
    assert session.ask(said).answer.startswith(reply)
    assert session.facts == facts, "they can still be looked at"


def test_another_medicine_takes_the_place_of_the_first(session: GroundedSession) -> None:
    session.ask("偏头痛有什么症状")
    assert session.ask("换成胃溃疡呢").entities == ("胃溃疡",)


def test_what_to_bear_in_mind_goes_with_every_later_answer(session: GroundedSession) -> None:
    assert session.ask("我怀孕了，偏头痛有什么症状").cautions[0].startswith("孕期")
    assert session.ask("要做什么检查").cautions[0].startswith("孕期")


def test_reset_forgets(session: GroundedSession) -> None:
    session.ask("偏头痛有什么症状")
    session.reset()
    assert session.ask("那要做什么检查？").abstained
    assert session.facts == ()
    assert len(session.messages) == 2


def test_what_cannot_be_answered_changes_nothing(kb: KnowledgeBase, linker: Linker) -> None:
    session = GroundedSession(Answerer(Reader(context=400), kb, Policy(), linker=linker))
    session.ask("偏头痛有什么症状")
    before = session.messages
    with pytest.raises(ModelError, match="问题太长"):
        session.ask("长" * 600)
    assert session.messages == before
    assert session.ask("那要做什么检查？").entities == ("偏头痛",)


def test_what_is_saved_can_be_learnt_from(session: GroundedSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="还没有对话"):
        session.save(tmp_path / "chat.jsonl")
    session.ask("偏头痛做什么检查")
    session.save(tmp_path / "chat.jsonl")
    (conversation,) = read_conversations(tmp_path / "chat.jsonl").conversations
    assert [m.content for m in conversation.messages] == ["偏头痛做什么检查", "偏头痛的检查是头颅CT。"]


NAMES = ("高血压", "高血压肾病", "糖尿病")


@pytest.mark.parametrize(
    ("reply", "names", "meant"),
    [
        ("高血压", NAMES, "高血压"),
        ("我说的是高血压肾病。", NAMES, "高血压肾病"),
        ("肾病", NAMES, "高血压肾病"),
        ("第三个", NAMES, "糖尿病"),
        ("前者", NAMES[:2], "高血压"),
        ("2", NAMES[:2], "高血压肾病"),
        ("第4个", NAMES, None),
        ("高血压和糖尿病", NAMES, None),
        ("血", NAMES, None),
        ("是", NAMES, None),
        ("是的。", ("高血压",), "高血压"),
        ("不是", ("高血压",), None),
        ("高血压要做什么检查，挂什么科室好", NAMES, None),
        ("", NAMES, None),
        ("高血壓", NAMES, "高血压"),
    ],
)
def test_what_a_reply_chooses(reply: str, names: tuple[str, ...], meant: str | None) -> None:
    assert chosen(reply, names) == meant


@settings(deadline=None)
@given(st.text(max_size=20), st.lists(st.text("高血压肾病糖", min_size=2, max_size=5), max_size=4, unique=True))
def test_a_choice_is_one_of_the_names(reply: str, names: list[str]) -> None:
    assert chosen(reply, names) in {None, *names}
    for name in names:
        if not any(name != other and name in other for other in names):
            assert chosen(name, names) in {name, None}

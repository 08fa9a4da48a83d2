from __future__ import annotations

from bentsao.construction.texts import texts
from bentsao.core.records import Message, Question
from tests.construction.rows import dialogue, grounded, row


def test_plain_rows_and_dialogues_are_read_turn_by_turn() -> None:
    assert texts(row("偏头痛怎么治？", "可用布洛芬[1]。")) == (("偏头痛怎么治？",), ("可用布洛芬。",))
    assert texts(dialogue("问一", "答一", "问二", "答二")) == (("问一", "问二"), ("答一", "答二"))


def test_of_a_grounded_row_only_what_a_person_asked_and_the_answer_count() -> None:
    said = texts(grounded("我妈偏头痛\n吃什么药？", "可用布洛芬[1]。"))
    assert said.questions == ("我妈偏头痛 吃什么药？",)
    assert said.answers == ("可用布洛芬。",)


def test_a_question_has_its_reference_as_its_answer_and_its_frame_is_taken_off() -> None:
    framed = grounded("偏头痛吃什么药？", "可用布洛芬。").messages[:1]
    assert texts(Question(id="1", group="组", messages=framed, reference="可用布洛芬。")) == (
        ("偏头痛吃什么药？",),
        ("可用布洛芬。",),
    )
    asked = (Message(role="user", content="怎么治？", input="偏头痛"),)
    assert texts(Question(id="1", group="组", messages=asked)) == (("怎么治？\n偏头痛",), ())

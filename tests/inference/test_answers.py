from __future__ import annotations

from bentsao.core.records import Message, Question
from bentsao.inference.answers import answer_to


def question(*said: str) -> Question:
    messages = tuple(Message(role="user" if n % 2 == 0 else "assistant", content=text) for n, text in enumerate(said))
    return Question(id="7", group="g", messages=messages, reference="参考")


def test_what_goes_with_every_answer_goes_with_failures_too() -> None:
    for answer in (
        answer_to(question("我怀孕了，突然胸痛"), " 多休息\n"),
        answer_to(question("我怀孕了，突然胸痛"), error="坏了"),
    ):
        assert answer.alarm is not None
        assert answer.cautions[0].startswith("孕期")
        assert (answer.id, answer.reference) == ("7", "参考")


def test_an_error_is_how_it_ended() -> None:
    failed = answer_to(question("头痛怎么办"), error="坏了")
    assert (failed.text, failed.finish, failed.error) == ("", "error", "坏了")
    cut = answer_to(question("头痛怎么办"), " 多休息\n", finish="length", tokens=3, seconds=0.5)
    assert (cut.text, cut.finish, cut.error, cut.tokens, cut.seconds) == ("多休息", "length", None, 3, 0.5)


def test_the_alarm_is_of_the_whole_conversation() -> None:
    assert answer_to(question("我爸突然胸痛", "多久了？", "十分钟")).alarm is not None

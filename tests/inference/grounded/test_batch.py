from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bentsao.core.errors import ConfigError
from bentsao.core.records import Answer, Message, Question
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated
from bentsao.inference.grounded import Answerer, Policy
from bentsao.inference.grounded.batch import answer_all_grounded
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase
from tests.inference.grounded.reader import Reader

Made = Callable[..., Answerer]
ASKED = ("偏头痛有什么症状", "蓝血病怎么治", "胃溃疡做什么检查", "长" * 500, "布洛芬有什么副作用")


def questions(count: int = len(ASKED)) -> list[Question]:
    return [
        Question(id=f"q{number}", group="g", messages=(Message(role="user", content=text),), reference=f"答{number}")
        for number, text in enumerate(ASKED[:count])
    ]


class Dying(Reader):
    """Ctrl-C comes when it has written an answer."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        if any("资料：\n" in text for text in self.texts):
            raise KeyboardInterrupt
        return super().generate(prompts, decoding, on_text=on_text)


@pytest.fixture
def made(kb: KnowledgeBase, linker: Linker) -> Made:
    def make(engine: Reader, **policy: object) -> Answerer:
        return Answerer(engine, kb, Policy.model_validate(policy), linker=linker)

    return make


def test_answers_come_with_their_evidence_in_the_questions_order(made: Made, tmp_path: Path) -> None:
    out, seen = tmp_path / "new" / "out.jsonl", list[tuple[float, int]]()
    answers = answer_all_grounded(
        made(Reader(context=400)), questions(), out, rows=2, progress=lambda *done: seen.append(done)
    )
    assert [answer.id for answer in answers] == ["q0", "q1", "q2", "q3", "q4"]
    assert [answer.reference for answer in answers] == ["答0", "答1", "答2", "答3", "答4"]
    assert [len(answer.evidence) for answer in answers] == [2, 0, 1, 0, 1]
    assert [answer.finish for answer in answers] == ["end", "end", "end", "error", "end"]
    assert answers == [Answer.model_validate_json(line) for line in out.read_text("utf-8").splitlines()]
    assert (seen[0], seen[-1]) == ((0, 5), (5, 5))


def test_history_is_what_the_person_said(made: Made, tmp_path: Path) -> None:
    said = (
        Message(role="user", content="偏头痛有什么症状"),
        Message(role="assistant", content="胃溃疡"),
        Message(role="user", content="那要做什么检查？"),
    )
    (answer,) = answer_all_grounded(made(Reader()), [Question(id="q", group="g", messages=said)], tmp_path / "o.jsonl")
    assert answer.text == "偏头痛的检查是头颅CT[1]。"


def test_a_killed_run_goes_on_and_asks_nothing_twice(made: Made, tmp_path: Path) -> None:
    out, told = tmp_path / "out.jsonl", list[str]()
    asked = [question for question in questions() if question.id != "q3"]
    whole = answer_all_grounded(made(Reader()), asked, tmp_path / "whole.jsonl", rows=1)
    with pytest.raises(KeyboardInterrupt):
        answer_all_grounded(made(Dying()), asked, out, rows=1)
    assert not out.exists()
    there = len(out.with_name("out.jsonl.part").read_text("utf-8").splitlines())
    assert there >= 1
    engine = Reader()
    answers = answer_all_grounded(made(engine), asked, out, rows=1, report=told.append)
    assert [answer.text for answer in answers] == [answer.text for answer in whole]
    assert len({text.split("问题：")[1].split("\n")[0] for text in engine.texts}) == len(asked) - there
    assert f"已有 {there} 个回答" in told[0]


def test_answers_made_otherwise_are_refused(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    answer_all_grounded(made(Reader()), questions(2), out)
    with pytest.raises(ConfigError, match=r"policy\.guard：'remove' → 'off'"):
        answer_all_grounded(made(Reader(), guard="off"), questions(2), out)
    with pytest.raises(ConfigError, match="'reader' → 'other'"):
        answer_all_grounded(made(Reader(name="other")), questions(2), out)

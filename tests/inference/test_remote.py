"""Answers of a model behind an API: against a scripted server in this process, as it is and as it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bentsao.core.errors import ConfigError
from bentsao.core.records import Answer, Message, Question
from bentsao.inference.remote import answer_remotely
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.budget import BudgetReachedError
from bentsao.models.remote.calling import Patience
from bentsao.models.remote.client import Endpoint
from tests.models.remote.server import Act, StubServer, completion, serving

QUESTIONS = [
    Question(id=f"q{n}", group=f"q{n}", messages=(Message(role="user", content=f"第{n}问"),), reference=f"参考{n}")
    for n in range(5)
]


def asking(stub: StubServer, **settings: Any) -> Asking:
    patience = Patience(attempts=2, base=0.01)
    endpoint = Endpoint(base_url=stub.url, key_env="NO_SUCH_KEY")
    return Asking(endpoint=endpoint, model="试验", temperature=0.0, output_limit=60, patience=patience, **settings)


def back(body: dict[str, Any], _: int) -> Act:
    """Says the last message backwards."""
    return Act(body=completion(body["messages"][-1]["content"][::-1]))


def texts(answers: list[Answer]) -> list[str]:
    return [answer.text for answer in answers]


def test_answers_come_in_order_and_are_not_asked_twice(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    told: list[tuple[float, int]] = []
    with serving(back) as stub:
        first = answer_remotely(asking(stub), QUESTIONS, out, progress=lambda done, count: told.append((done, count)))
        again = answer_remotely(asking(stub), QUESTIONS, out)
        out.unlink()  # the journal of calls has them all the same
        once_more = answer_remotely(asking(stub), QUESTIONS, out)
        assert sum(stub.came.values()) == len(QUESTIONS)
        assert {body["max_tokens"] for body in stub.bodies.values()} == {60}
    assert texts(first) == texts(again) == texts(once_more) == [f"问{n}第" for n in range(5)]
    assert [answer.reference for answer in first] == [f"参考{n}" for n in range(5)]
    assert (told[0], told[-1]) == ((0, 5), (5, 5))
    assert {answer.finish for answer in first} == {"end"}


def test_history_goes_with_the_question_and_a_cut_answer_says_so(tmp_path: Path) -> None:
    more = (Message(role="assistant", content="答"), Message(role="user", content="再问", input="料"))
    said = (*QUESTIONS[0].messages, *more)
    question = QUESTIONS[0].model_copy(update={"messages": said})
    with serving(lambda body, _: Act(body=completion("半句", finish="length"))) as stub:
        (answer,) = answer_remotely(asking(stub), [question], tmp_path / "a.jsonl")
        (body,) = stub.bodies.values()
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][-1]["content"] == "再问\n料"
    assert answer.finish == "length"


def test_what_fails_is_an_error_that_another_run_asks_again(tmp_path: Path) -> None:
    broken = True

    def script(body: dict[str, Any], before: int) -> Act:
        if broken and body["messages"][-1]["content"] == "第1问":
            return Act(status=500, body="{}")
        if body["messages"][-1]["content"] == "第2问":
            return Act(body='{"choices": []}')
        return back(body, before)

    out = tmp_path / "a.jsonl"
    with serving(script) as stub:
        found = answer_remotely(asking(stub), QUESTIONS, out)
        assert [answer.finish for answer in found] == ["end", "error", "error", "end", "end"]
        broken = False
        again = answer_remotely(asking(stub), QUESTIONS, out)
        assert [answer.finish for answer in again] == ["end", "end", "error", "end", "end"]


def test_a_budget_that_is_reached_keeps_what_was_answered(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    with serving(back) as stub:
        with pytest.raises(BudgetReachedError, match="预算"):
            answer_remotely(asking(stub, max_tokens=400, concurrency=1), QUESTIONS, out)
        made = sum(stub.came.values())
        assert 0 < made < len(QUESTIONS)
        found = answer_remotely(asking(stub), QUESTIONS, out)
        assert texts(found) == [f"问{n}第" for n in range(5)]
        assert sum(stub.came.values()) == len(QUESTIONS)


def test_another_model_needs_another_file(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    with serving(back) as stub:
        answer_remotely(asking(stub), QUESTIONS, out)
        with pytest.raises(ConfigError, match="output_limit"):
            answer_remotely(asking(stub).model_copy(update={"output_limit": 9}), QUESTIONS, out)
        answer_remotely(asking(stub).model_copy(update={"output_limit": 9}), QUESTIONS, out, restart=True)

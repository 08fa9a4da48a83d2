"""Models that are broken in one way each, to be measured: what a score makes of them is what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bentsao.core.formats import FORMATS, ChatFormat
from bentsao.core.records import Answer
from bentsao.evaluation.scoring import Measured, measured
from bentsao.evaluation.tasks.task import Item, Response, Task, Verdict
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated, Weight
from tests.doubles import CharTokens

Say = Callable[[Item[Any]], str]

BROKEN: dict[str, Say] = {
    "silent": lambda item: "",
    "parrot": lambda item: item.question.text,
    "always A": lambda item: "A",
    "agreeing": lambda item: f"是的，{item.shown.rstrip('？?吗')}。",
    "declining": lambda item: "没有查到，不能回答。",
    "repeating": lambda item: "多喝水多休息多锻炼身体好。" * 30,
}
"""What each says to an item."""


def responses(items: Sequence[Item[Any]], say: Say, *, first: bool = True) -> list[Response]:
    """What a model says; the first continuation is always the likeliest. first: whether it weighs at all."""
    out: list[Response] = []
    for item in items:
        text = say(item)
        finish = "length" if len(text) > 200 else "end"
        weights = tuple(Weight(-1.0 - place, place == 0, 1) for place in range(len(item.weighed)))
        answer = Answer(id=item.id, question=item.shown, text=text, reference=item.reference, finish=finish)
        out.append(Response(answer, weights=weights if first and weights else None))
    return out


def scores(task: Task[Any], items: Sequence[Item[Any]], say: Say) -> dict[str, Measured]:
    """A model's figures in a task."""
    return measured(task.measures, task.judge(items, responses(items, say)), coverage=0.0)


def value(found: dict[str, Measured], name: str) -> float:
    figure = found[name].value
    assert figure is not None, f"{name} has no value"
    return figure


def failed(item: Item[Any]) -> Response:
    """No answer, for a reason of the engine's."""
    return Response(Answer(id=item.id, question=item.shown, text="", finish="error", error="问题太长"))


def judged(task: Task[Any], item: Item[Any], text: str) -> Verdict:
    """The verdict on one answer."""
    return task.judge([item], responses([item], lambda _: text))[0]


class SayingEngine:
    """An engine that answers the prompt's text as it is told, and likes continuations by their place in the prompt.

    weighed: the texts of what it was asked to weigh. asked: how many prompts it was given.
    """

    def __init__(self, say: Callable[[str], str], *, name: str = "saying") -> None:
        self.name = name
        self.tokens = CharTokens()
        self.chat_format: ChatFormat = FORMATS["plain"]
        self.context = 4000
        self.asked = 0
        self.weighed = 0
        self._say = say

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        self.asked += len(prompts)
        said = [self._say(self.tokens.decode(prompt)) for prompt in prompts]
        return [Generated(tuple(self.tokens.encode(text)), text, "end") for text in said]

    def weigh(
        self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[Weight]]:
        self.weighed += len(prompts)
        return [[Weight(-1.0 - place, place == 0, len(ids)) for place, ids in enumerate(own)] for own in continuations]

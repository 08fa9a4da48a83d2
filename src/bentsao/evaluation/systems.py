"""What is measured: a local engine, or a model behind an API. How each answers, weighs, and keeps what it answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from bentsao.core.errors import ConfigError, MissingError, ModelError
from bentsao.core.files import iterate_json, write_jsonl
from bentsao.core.records import Answer, Record
from bentsao.evaluation.contamination import Training
from bentsao.evaluation.tasks.task import Item, Response
from bentsao.inference.batch import answer_all, settings_of
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, MemoryShortageError, Scorer, Spread, Weight, fitted_prompt
from bentsao.inference.grounded.answering import Answerer
from bentsao.inference.grounded.batch import as_answer, grounded_settings
from bentsao.inference.grounded.records import GroundedAnswer, GroundedQuestion
from bentsao.inference.journal import Journal
from bentsao.inference.remote import answer_remotely, remote_name
from bentsao.models.remote.asking import Asking

ANSWERS, GROUNDED, WEIGHTS = "answers.jsonl", "grounded.jsonl", "weights.jsonl"
"""The files of a system's answers to a task, in a folder of their own."""

_ROWS = 16


class Telling(Protocol):
    """Told of what is going on."""

    def __call__(self, what: str, done: float, count: int) -> None:
        """`done` of `count` items of what is at work have been dealt with."""
        ...


@dataclass(frozen=True)
class Run:
    """One task put to one system: where the answers are kept, and how long they may be."""

    folder: Path
    max_new_tokens: int
    restart: bool
    tell: Telling
    report: Callable[[str], None]

    def progress(self, what: str) -> Callable[[float, int], None]:
        """Tells of this part of the work."""
        return lambda done, count: self.tell(what, done, count)


class System(Protocol):
    """A model that is measured."""

    @property
    def label(self) -> str:
        """What it is called in the report and in the file system."""
        ...

    @property
    def name(self) -> str:
        """What identifies the weights."""
        ...

    @property
    def training(self) -> Training:
        """What it was tuned on."""
        ...

    def respond(self, items: Sequence[Item[Any]], run: Run, *, grounded: bool) -> list[Response]:
        """What it says to the items, in their order; kept in `run.folder`, where nothing is asked twice.

        grounded: answer from the knowledge base, where it has one.
        """
        ...


class Weighing(Record):
    """The weights of an item's continuations, as they are kept. error: why there are none."""

    id: str
    weights: tuple[Weight, ...] = ()
    finish: Literal["end", "error"] = "end"
    error: str | None = None


@dataclass(frozen=True)
class LocalSystem:
    """An engine on this machine, or several on others. answerer: through which it answers from a knowledge base."""

    label: str
    engine: Engine | Spread
    training: Training
    repetition_penalty: float = 1.0
    answerer: Answerer | None = None

    @property
    def name(self) -> str:
        """The engine's."""
        return self.engine.name

    def respond(self, items: Sequence[Item[Any]], run: Run, *, grounded: bool) -> list[Response]:
        """See `System.respond`."""
        questions = [item.question for item in items]
        weights = weigh_all(self.engine, items, run)
        if grounded and self.answerer is not None:
            found = _grounded(self.answerer, items, run)
            answers = [as_answer(*pair) for pair in zip(found, questions, strict=True)]
            write_jsonl(run.folder / ANSWERS, [answer.model_dump(mode="json") for answer in answers])
            kept: dict[str, GroundedAnswer] = {one.id: one for one in found}
        else:
            decoding = Decoding(max_new_tokens=run.max_new_tokens, repetition_penalty=self.repetition_penalty)
            answers = answer_all(
                self.engine,
                questions,
                run.folder / ANSWERS,
                decoding,
                restart=run.restart,
                progress=run.progress("回答"),
                report=run.report,
            )
            kept = {}
        return [_response(answer, weights.get(answer.id), kept.get(answer.id)) for answer in answers]


@dataclass(frozen=True)
class RemoteSystem:
    """A model behind an OpenAI-style API: it answers, and weighs nothing."""

    label: str
    asking: Asking
    training: Training

    @property
    def name(self) -> str:
        """The model's, and the server's."""
        return remote_name(self.asking)

    def respond(self, items: Sequence[Item[Any]], run: Run, *, grounded: bool) -> list[Response]:
        """See `System.respond`; what is known of facts is the model's own, `grounded` or not."""
        del grounded
        answers = answer_remotely(
            self.asking.model_copy(update={"output_limit": run.max_new_tokens}),
            [item.question for item in items],
            run.folder / ANSWERS,
            restart=run.restart,
            progress=run.progress("回答"),
            report=run.report,
        )
        return [_response(answer, None, None) for answer in answers]


@dataclass(frozen=True)
class KeptSystem:
    """The answers of an earlier run, to be scored anew: no model is opened."""

    label: str
    name: str
    training: Training

    def respond(self, items: Sequence[Item[Any]], run: Run, *, grounded: bool) -> list[Response]:
        """See `System.respond`. Raises MissingError where items have no answer, ConfigError where they were others."""
        answers = _read(run.folder / ANSWERS, Answer)
        weights = _read(run.folder / WEIGHTS, Weighing)
        found = _read(run.folder / GROUNDED, GroundedAnswer) if grounded else {}
        if missing := [item.id for item in items if item.id not in answers]:
            raise MissingError(
                f"{run.folder / ANSWERS} 里没有 {len(missing)} 道题的回答（{'、'.join(missing[:3])} …）。"
                "请用当时的数据与设置，或去掉 --rescore 让模型来答。"
            )
        if others := [item.id for item in items if item.question.text != answers[item.id].question]:
            raise ConfigError(
                f"{run.folder / ANSWERS} 里 {len(others)} 道题当时问的不是现在这一句（{'、'.join(others[:3])} …）。"
                "请用当时的数据与设置，或去掉 --rescore、换一个 --out 让模型来答。"
            )
        return [_response(answers[item.id], weights.get(item.id), found.get(item.id)) for item in items]


def _read(path: Path, record: type[Any]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    rows = (record.model_validate(row) for _, row in iterate_json(path))
    return {row.id: row for row in rows}


def _response(answer: Answer, weighing: Weighing | None, grounded: GroundedAnswer | None) -> Response:
    if weighing is None:
        return Response(answer, grounded=grounded)
    if weighing.error is not None:
        return Response(answer, unweighed=weighing.error, grounded=grounded)
    return Response(answer, weights=weighing.weights, grounded=grounded)


def _grounded(answerer: Answerer, items: Sequence[Item[Any]], run: Run) -> list[GroundedAnswer]:
    settings = grounded_settings(answerer)
    questions = [item.question for item in items]
    journal = Journal(GroundedAnswer, run.folder / GROUNDED, settings, questions, restart=run.restart)
    tell = run.progress("依据知识库回答")
    tell(len(journal.answers), len(items))
    asked = [
        GroundedQuestion(id=item.id, question=item.shown, history=item.history)
        for item in items
        if item.id not in journal.answers
    ]
    for start in range(0, len(asked), _ROWS):
        journal.append(answerer.answer(asked[start : start + _ROWS]))
        tell(len(journal.answers), len(items))
    return journal.close()


def weigh_all(engine: Engine | Spread, items: Sequence[Item[Any]], run: Run) -> dict[str, Weighing]:
    """The weights of the items that want any, by id; kept as the answers are. None at all where the engine cannot."""
    wanted = [item for item in items if item.weighed]
    if not wanted or not (engine.weighs if isinstance(engine, Spread) else isinstance(engine, Scorer)):
        return {}
    # What is weighed stands where an answer would, so that other continuations are another question.
    questions = [item.question.model_copy(update={"reference": "\n".join(item.weighed)}) for item in wanted]
    settings = settings_of(engine, Decoding(max_new_tokens=1))
    journal = Journal(Weighing, run.folder / WEIGHTS, settings, questions, restart=run.restart)
    tell = run.progress("看概率")
    left = sorted((item for item in wanted if item.id not in journal.answers), key=lambda item: len(item.question.text))
    tell(len(journal.answers), len(wanted))
    batches = [left[start : start + _ROWS] for start in range(0, len(left), _ROWS)]
    spread = isinstance(engine, Spread)
    for weighings in engine.each(_weigh, batches, run.report) if spread else map(partial(_weigh, engine), batches):
        journal.append(weighings)
        tell(len(journal.answers), len(wanted))
    return {one.id: one for one in journal.close()}


def _weigh(engine: Engine, items: Sequence[Item[Any]]) -> list[Weighing]:
    """The weights of some items; in halves where memory runs out, one by one where one of them cannot be weighed."""
    assert isinstance(engine, Scorer)
    try:
        prompts = [fitted_prompt(engine, item.messages, Decoding(max_new_tokens=1))[0] for item in items]
        options = [[_ids(engine, text) for text in item.weighed] for item in items]
        found = engine.weigh(prompts, options)
    except (MemoryShortageError, ModelError) as error:
        if len(items) == 1:
            return [Weighing(id=items[0].id, finish="error", error=str(error))]
        half = len(items) // 2
        return [*_weigh(engine, items[:half]), *_weigh(engine, items[half:])]
    return [Weighing(id=item.id, weights=tuple(weights)) for item, weights in zip(items, found, strict=True)]


def _ids(engine: Engine, text: str) -> list[int]:
    """The ids of an answer, as it would stand after a prompt."""
    said = engine.chat_format.disarm(text.strip())
    return engine.tokens.encode(said, control=False, after=not engine.tokens.prompt_end_ids)

"""What a task is: items to ask, a verdict on each answer, and the measures that are made of the verdicts."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import Field

from bentsao.core.errors import ConfigError
from bentsao.core.records import Answer, Message, Question, Record
from bentsao.inference.engine import Weight
from bentsao.inference.grounded.records import GroundedAnswer
from bentsao.knowledge.store import KnowledgeBase

T = TypeVar("T")


@dataclass(frozen=True)
class Item(Generic[T]):
    """One thing to ask.

    group: what hangs together (an entity, a case, a dialogue): resampled together. messages: what the model is given.
    asked: the bare question as people read it and as training data is searched for it; "": the last message. earlier:
    what the person said before, where it is no message of its own. key: what is right, in the task's own form. tags:
    what figures are split by and the report can be filtered by. weighed: continuations whose likelihood is wanted.
    whole: items of one `whole` are drawn together; "": it stands alone.
    """

    id: str
    group: str
    messages: tuple[Message, ...]
    key: T
    asked: str = ""
    earlier: tuple[str, ...] = ()
    reference: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    weighed: tuple[str, ...] = ()
    whole: str = ""

    @property
    def question(self) -> Question:
        """As it is put to a model."""
        return Question(id=self.id, group=self.group, messages=self.messages, reference=self.reference)

    @property
    def shown(self) -> str:
        """The question as people read it."""
        return self.asked or self.question.text

    @property
    def history(self) -> tuple[str, ...]:
        """What the person said before."""
        return self.earlier or tuple(message.content for message in self.messages[:-1] if message.role == "user")


@dataclass(frozen=True)
class Response:
    """What a system did with an item. weights: of `Item.weighed`; None where it was not asked or cannot say.

    unweighed: why there are no weights, where there should be.
    """

    answer: Answer
    weights: tuple[Weight, ...] | None = None
    unweighed: str = ""
    grounded: GroundedAnswer | None = None


class Verdict(Record):
    """What came of one item, as a person can check it.

    expected: what is right, in words. said: what the answer was read as. right: None where there is no right and wrong.
    scores: by name; None: it applies, but could not be scored; absent: it does not apply. unscored: why not.
    contaminated: how the item is in the training data; "" if it is not known to be.
    """

    id: str
    group: str
    question: str
    answer: str
    history: tuple[str, ...] = ()
    expected: str = ""
    said: str = ""
    right: bool | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    scores: dict[str, float | None] = Field(default_factory=dict)
    unscored: str = ""
    contaminated: str = ""


@dataclass(frozen=True)
class Measure:
    """A figure made of verdicts: the mean of the score `above`, or Σ `above` / Σ `below`.

    kind: "share" is shown in percent. better: which way is better; "" neither. exp: the figure is e to that power.
    whole: instead, a figure of all answers together, without an interval. about: the definition, with its source.
    """

    title: str
    above: str = ""
    below: str = ""
    kind: Literal["share", "number"] = "share"
    better: Literal["high", "low", ""] = "high"
    exp: bool = False
    whole: Callable[[Sequence[str]], float | None] | None = None
    about: str = ""

    def applies(self, verdict: Verdict) -> bool:
        """Whether an item counts in it, scored or not."""
        return self.above in verdict.scores or bool(verdict.unscored)


@dataclass(frozen=True)
class Source:
    """Where items come from, and how many. What a task does not use it leaves alone.

    files: as the user gave them; empty: composed from `kb`, by tasks that can. limit: at most so many items, spread
    over the task's parts; None: all. count: how many are composed. learnt: whether an entity was seen in training.
    subjects: of multiple choice: names, or 医学, 非医学; empty: all. shots, shots_from: examples before the question,
    from the items themselves or a file of their own. shuffles: further orders of the options. grounded: systems with a
    knowledge base answer from it, in tasks where that can be. report: is told what of the files was left out.
    """

    files: tuple[Path, ...] = ()
    kb: KnowledgeBase | None = None
    limit: int | None = None
    count: int = 120
    seed: int = 0
    learnt: Callable[[str], bool] = lambda _: False
    subjects: tuple[str, ...] = ()
    shots: int = 0
    shots_from: Path | None = None
    shuffles: int = 1
    grounded: bool = False
    report: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Task(Generic[T]):
    """A task.

    headline: the measures that say most, by name: they are drawn, and systems are compared in them. splits: the tags
    that figures are also given by. tokens: of an answer at the most, unless the user says so. load:
    the items of a source. judge: verdicts on items and their responses, in the items' order. grounded: whether a system
    with a knowledge base answers from it here. data: "file": only from a file; "kb": a file, or composed from a
    knowledge base; "own": a file, or the items that ship with the project.
    """

    name: str
    title: str
    about: str
    load: Callable[[Source], list[Item[T]]]
    judge: Callable[[Sequence[Item[T]], Sequence[Response]], list[Verdict]]
    measures: Mapping[str, Measure]
    headline: tuple[str, ...]
    data: Literal["file", "kb", "own"] = "file"
    splits: tuple[str, ...] = ()
    tokens: int = 256
    grounded: bool = False


def each(
    one: Callable[[Item[T], Response], Verdict],
) -> Callable[[Sequence[Item[T]], Sequence[Response]], list[Verdict]]:
    """A task's `judge` where every item is judged by itself."""
    return lambda items, responses: [one(*pair) for pair in zip(items, responses, strict=True)]


def needed_files(source: Source, task: str, form: str) -> tuple[Path, ...]:
    """The files given. Raises ConfigError where there are none; form: what they should be."""
    if not source.files:
        raise ConfigError(f"任务 {task} 要有数据：请用 --data 给出{form}。")
    return source.files


def prefix(file: Path, files: Sequence[Path]) -> str:
    """What stands before the ids of a file's items, so that those of several files differ.

    "" for the only file; else its name, and where another is called the same, its path.
    """
    if len(files) == 1:
        return ""
    alike = sum(one.stem == file.stem for one in files)
    return f"{file.stem if alike == 1 else file}/"


def needed_kb(source: Source, task: str) -> KnowledgeBase:
    """The knowledge base. Raises ConfigError where there is none."""
    if source.kb is None:
        raise ConfigError(f"任务 {task} 的题目由知识库写成：请用 --kb 给出知识库，或用 --data 给出题目。")
    return source.kb


def limited(items: Sequence[Item[T]], source: Source, by: str = "") -> list[Item[T]]:
    """At most `source.limit` items, in their order: at random, and as evenly as can be over the tag `by`.

    A higher limit takes the same items and more. Items of one whole are taken together or not at all; the first is
    taken in any case.
    """
    if source.limit is None or source.limit >= len(items):
        return list(items)
    wholes: dict[str, list[Item[T]]] = {}
    for item in items:
        wholes.setdefault(item.whole or item.id, []).append(item)
    parts: dict[str, list[str]] = {}
    for name, together in wholes.items():
        parts.setdefault(together[0].tags.get(by, ""), []).append(name)
    for part, names in parts.items():
        random.Random(f"{source.seed}:{part}").shuffle(names)
    turns = [name for turn in zip_longest(*parts.values()) for name in turn if name is not None]
    taken: set[str] = set()
    for together in map(wholes.__getitem__, turns):
        # Not filled up with what would still fit: a higher limit might then take something else.
        if taken and len(taken) + len(together) > source.limit:
            break
        taken |= {item.id for item in together}
    return [item for item in items if item.id in taken]


def failed(item: Item[T], response: Response) -> Verdict | None:
    """The verdict on an item that got no answer; None where it got one."""
    if response.answer.finish != "error":
        return None
    reason = response.answer.error or "没有回答"
    return verdict(item, response).model_copy(update={"unscored": reason})


def verdict(item: Item[T], response: Response) -> Verdict:
    """The verdict as far as it is the same for all tasks."""
    return Verdict(
        id=item.id,
        group=item.group,
        question=item.shown,
        answer=response.answer.text,
        history=item.history,
        expected=item.reference or "",
        tags=dict(item.tags),
    )

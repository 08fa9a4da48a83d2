"""Answers of several systems to the same questions, as `bentsao infer` writes them: read, named, matched by id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentsao.core.conversations import read_questions
from bentsao.core.errors import ConfigError, DataError, Fault
from bentsao.core.files import Place, read_json_object
from bentsao.core.records import Answer, Question
from bentsao.core.rows import RowError, read_rows
from bentsao.evaluation.icd import chapter


@dataclass(frozen=True)
class System:
    """What one system answered, by the question's id. engine: what made the answers; '' where no manifest says."""

    name: str
    path: Path
    answers: dict[str, Answer]
    engine: str = ""


@dataclass(frozen=True)
class Item:
    """A question that all systems were asked, with its history. group: what hangs together; kind: '' for none."""

    id: str
    question: str
    reference: str | None
    group: str
    kind: str = ""


@dataclass(frozen=True)
class Answers:
    """The systems, the items that all of them have, and the ids that only some have."""

    systems: list[System]
    items: list[Item]
    left_out: list[str]


def read_answers(path: Path) -> dict[str, Answer]:
    """The answers of a file by id. Raises DataError with all faults of the file, MissingError if there is no file."""
    rows = read_rows(
        path, lambda _, row: Answer.model_validate(row), key=lambda answer: answer.id, nothing="文件里没有任何回答。"
    )
    return {answer.id: answer for answer in rows}


def read_systems(sources: Sequence[str]) -> list[System]:
    """The systems: `NAME=FILE`, or a file that names itself. Raises ConfigError where two have one name."""
    systems: list[System] = []
    faults: list[Fault] = []
    for source in sources:
        name, given, rest = source.partition("=")
        path = Path(rest if given and name else source)
        try:
            answers = read_answers(path)
        except DataError as error:
            faults += error.faults
            continue
        systems.append(System(name if given and name else path.stem, path, answers, _made_by(path)))
    if faults:
        raise DataError(faults)
    names = [system.name for system in systems]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"有两个系统都叫 {'、'.join(twice)}。请写成 名称=文件，例如 基座={systems[0].path}。")
    return systems


def match(systems: Sequence[System], questions: Path | None = None, classes: Path | None = None) -> Answers:
    """The items that all systems answered, in the first's order.

    questions: the file that was asked; brings history, reference and group. classes: JSON lines with `id` and `class`;
    an ICD-10 code there stands for its chapter. Raises DataError where one id has two questions, ConfigError where
    nothing is common.
    """
    asked = {question.id: question for question in read_questions(questions)} if questions else {}
    kinds = _classes(classes) if classes else {}
    faults: list[Fault] = []
    items: list[Item] = []
    for name, answer in systems[0].answers.items():
        others = [system for system in systems[1:] if name in system.answers]
        for system in others:
            if system.answers[name].question != answer.question:
                reason = f"与 {systems[0].path} 里同一 id 的问题不同。请用同一份问题。"
                faults.append(Fault(str(system.path), None, f"id {name}", system.answers[name].question, reason))
        if len(others) < len(systems) - 1:
            continue
        question = asked.get(name)
        text = _conversation(question) if question and len(question.messages) > 1 else answer.question
        reference = answer.reference or (question.reference if question else None)
        items.append(Item(name, text, reference, question.group if question else name, kinds.get(name, "")))
    if faults:
        raise DataError(faults)
    if not items:
        raise ConfigError("这些文件没有共同的问题（按 id 对照）。请让各系统回答同一份问题。")
    kept = {item.id for item in items}
    every = dict.fromkeys(name for system in systems for name in system.answers)
    return Answers(list(systems), items, [name for name in every if name not in kept])


def _conversation(question: Question) -> str:
    titles = {"user": "问", "assistant": "答", "system": "设定"}
    return "\n".join(f"{titles[m.role]}：{m.content}" + (f"\n{m.input}" if m.input else "") for m in question.messages)


def refuse_own_judge(judge: str, systems: Sequence[System]) -> None:
    """Raises ConfigError where the judge is one of those it judges: models prefer their own words."""
    own = _plain(judge)
    for system in systems:
        parts = {_plain(part) for part in (system.name, system.engine, *re.split(r"[\s+@,()]+", system.engine))}
        if own and own in parts:
            raise ConfigError(
                f"裁判 {judge} 就是被评的系统 {system.name}（{system.engine or system.path}），"
                "模型会偏爱自己的话。请换一个裁判。"
            )


def _plain(name: str) -> str:
    """A model's name without its owner's, in lower case."""
    return name.strip().rstrip("/").rpartition("/")[2].lower()


def _made_by(path: Path) -> str:
    manifest = path.with_name(path.name + ".manifest.json")
    return engine_in(manifest) if manifest.is_file() else ""


def engine_in(manifest: Path) -> str:
    """What a manifest of answers says made them; '' where it does not."""
    settings = read_json_object(manifest).get("settings")
    return str(settings.get("engine") or "") if isinstance(settings, dict) else ""


def _classes(path: Path) -> dict[str, str]:
    return dict(read_rows(path, _class))


def _class(_: Place, row: Any) -> tuple[str, str]:
    if not (isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("class"), str)):
        raise RowError("行", row, "应有字符串 id 和 class。")
    return row["id"], chapter(row["class"]) or row["class"]

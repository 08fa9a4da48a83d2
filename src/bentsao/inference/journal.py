"""Answers on disk while they come: a journal that survives a kill, and what the answers were made with.

While a run lasts, answers are appended to `OUT.part`, and at the end `OUT` is written whole. What they were made with
stands beside them in `OUT.manifest.json`, so that those of two models never end up in one file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import ValidationError

from bentsao import __version__
from bentsao.core.errors import ConfigError
from bentsao.core.files import read_json, sha256_text, write_json, write_jsonl, writing_to
from bentsao.core.records import Question, Record


class _Manifest(Record):
    """What the answers of a run were made with. `questions`: hash of each question by id."""

    bentsao: str
    settings: dict[str, Any]
    questions: dict[str, str]


class Kept(Protocol):
    """What a journal keeps of each question: a Record with the question's id, and whether it failed."""

    @property
    def id(self) -> str:
        """The question's."""
        ...

    @property
    def finish(self) -> Literal["end", "length", "error"]:
        """ "error" is tried again by the next run."""
        ...

    def model_dump(self, *, mode: Literal["json"]) -> dict[str, Any]:
        """As JSON values."""
        ...

    def model_dump_json(self) -> str:
        """As JSON."""
        ...


K = TypeVar("K", bound=Kept)


class Journal(Generic[K]):
    """The answers on disk: the journal while a run lasts, `out` at its end, the manifest all the time.

    record: what is kept of each question (Answer, mostly). answers: those that are there, by the question's id.
    settings: all that decides what the answers are. restart: leave out whatever was answered before. Questions must
    have ids of their own (ValueError). Raises ConfigError if `out` holds answers made with other settings or to other
    questions, or is not ours.

    Its order of writing keeps one promise: an answer found on disk was made with the manifest's settings, for the
    question whose hash the manifest has.
    """

    def __init__(
        self, record: type[K], out: Path, settings: dict[str, Any], questions: Sequence[Question], *, restart: bool
    ) -> None:
        if len({question.id for question in questions}) < len(questions):
            raise ValueError("questions must have unique ids")
        self._record: Any = record
        self._out = out
        self._journal = out.with_name(out.name + ".part")
        self._questions = questions
        manifest = out.with_name(out.name + ".manifest.json")
        hashes = {question.id: sha256_text(question.model_dump_json()) for question in questions}
        if out.is_dir():
            raise ConfigError(f"{out} 是一个目录，这里需要一个文件名，如 {out / 'answers.jsonl'}。")
        self.answers = {} if restart else self._found(manifest, settings, hashes)
        write_jsonl(self._journal, [answer.model_dump(mode="json") for answer in self.answers.values()])
        write_json(manifest, _Manifest(bentsao=__version__, settings=settings, questions=hashes).model_dump())

    def _found(self, manifest: Path, settings: dict[str, Any], hashes: dict[str, str]) -> dict[str, K]:
        """The answers of an earlier run by id. Raises ConfigError where they are not this run's."""
        way_out = "请用 --out 换一个文件，或用 --restart 舍弃已有的回答重来。"
        if not manifest.exists():
            # An empty journal is all that there is of a run killed at its very start.
            if self._out.exists() or (self._journal.exists() and self._journal.stat().st_size):
                raise ConfigError(f"{self._out} 已经存在，但不知道它是用什么生成的（缺少 {manifest.name}）。{way_out}")
            return {}
        try:
            found = _Manifest.model_validate(read_json(manifest))
        except ValidationError:
            raise ConfigError(f"{manifest} 不是回答的清单。{way_out}") from None
        before = found.settings
        changes = [
            f"  {name}：{before.get(name)!r} → {settings.get(name)!r}"
            for name in {**before, **settings}
            if before.get(name) != settings.get(name)
        ]
        if changes:
            raise ConfigError("\n".join([f"{self._out} 里的回答是用别的设置生成的：", *changes, way_out]))
        answers = self._read()
        strangers = [name for name in answers if found.questions.get(name) != hashes.get(name)]
        if strangers:
            some = "、".join(strangers[:5])
            raise ConfigError(f"{self._out} 里有 {len(strangers)} 个回答不属于这些问题（{some} …）。{way_out}")
        return answers

    def _read(self) -> dict[str, K]:
        """The answers on disk. A line that a kill left half written is none, and errors are tried again."""
        path = self._journal if self._journal.exists() else self._out
        answers: dict[str, K] = {}
        # By bytes: the cut may be within a character.
        for line in path.read_bytes().split(b"\n") if path.exists() else []:
            try:
                answer: K = self._record.model_validate_json(line)
            except ValidationError:
                continue
            if answer.finish != "error":
                answers[answer.id] = answer
        return answers

    @property
    def resumed(self) -> str:
        """What the user is told of answers that are there."""
        return f"{self._out} 已有 {len(self.answers)} 个回答，不再重问（要重来请加 --restart）。"

    def append(self, answers: Sequence[K]) -> None:
        """Keep these answers, on the disk before this returns."""
        self.answers.update({answer.id: answer for answer in answers})
        with writing_to(self._journal), self._journal.open("a", encoding="utf-8", newline="\n") as journal:
            journal.write("".join(answer.model_dump_json() + "\n" for answer in answers))
            journal.flush()
            os.fsync(journal.fileno())

    def close(self) -> list[K]:
        """Write `out` and take the journal away."""
        answers = [self.answers[question.id] for question in self._questions]
        write_jsonl(self._out, [answer.model_dump(mode="json") for answer in answers])
        self._journal.unlink()
        return answers

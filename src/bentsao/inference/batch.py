"""Many questions → a file of answers. May be killed at any moment and started again; nothing is asked twice.

While it runs, answers are appended to a journal, `OUT.part`, and at the end `OUT` is written whole. What the answers
were made with stands beside them in `OUT.manifest.json`, so that those of two models never end up in one file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bentsao import __version__
from bentsao.core.errors import BentsaoError, ConfigError
from bentsao.core.files import read_json, sha256_text, write_json, write_jsonl
from bentsao.core.records import Answer, Question, Record
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, MemoryShortageError, fitted_prompt


def answer_all(
    engine: Engine,
    questions: Sequence[Question],
    out: Path,
    decoding: Decoding,
    *,
    rows: int = 16,
    token_budget: int = 16384,
    restart: bool = False,
    progress: Callable[[float, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> list[Answer]:
    """Answer the questions into `out` (JSON lines of Answer) and return the answers, both in the questions' order.

    rows, token_budget: a batch has at most this many questions, and beams × questions × (longest prompt + room for the
        answer) at most this many tokens. When memory runs out all the same, the batch is halved.
    restart: ask everything again, whatever was answered before.
    progress: called with (answered, all), at the start too; while a batch is written, an answer counts by the part of
        `max_new_tokens` it has. report: called with what the user should know.

    A question that cannot be answered becomes an Answer with finish "error", and the run goes on. Questions must have
    ids of their own (ValueError). Raises ConfigError if `out` holds answers made with other settings or to other
    questions, or is not ours.
    """
    if len({question.id for question in questions}) < len(questions):
        raise ValueError("questions must have unique ids")
    report = report or (lambda _: None)
    book = _Book(out, _settings(engine, decoding), questions, restart=restart)
    if book.answers:
        report(f"{out} 已有 {len(book.answers)} 个回答，不再重问（要重来请加 --restart）。")

    written = 0  # pieces of the batch at work, each of one token or more

    def tell() -> None:
        if progress:
            progress(len(book.answers) + written / decoding.max_new_tokens, len(questions))

    def count(_row: int, _piece: str) -> None:
        nonlocal written
        written += 1
        tell()

    tell()
    prompts, impossible, shortened = _prompts(engine, questions, decoding)
    if shortened:
        report(f"{shortened} 个问题的对话历史太长，最早的几轮没有带上。")
    book.append(impossible)
    by_id = {question.id: question for question in questions}
    # Batches are those of a run from nothing, so that a seeded run draws the same when it was interrupted.
    for batch in _batches(prompts, rows, token_budget, decoding):
        left = [(by_id[name], prompts[name]) for name in batch if name not in book.answers]
        if not left:
            continue
        for answers in _ask(engine, left, decoding, count if progress else None):
            book.append(answers)
            written = 0
            tell()
    return book.close()


def _settings(engine: Engine, decoding: Decoding) -> dict[str, Any]:
    """All that decides what the answers are."""
    chat_format = engine.chat_format
    return {
        "engine": engine.name,
        "format": f"{chat_format.name} ({chat_format.hash})",
        **{f"decoding.{name}": value for name, value in decoding.model_dump().items()},
    }


def _prompts(
    engine: Engine, questions: Sequence[Question], decoding: Decoding
) -> tuple[dict[str, list[int]], list[Answer], int]:
    """The prompts by question id, an Answer for each question that has none, and how many prompts lost history."""
    prompts: dict[str, list[int]] = {}
    impossible: list[Answer] = []
    shortened = 0
    for question in questions:
        try:
            prompts[question.id], dropped = fitted_prompt(engine, question.messages, decoding)
        except BentsaoError as error:
            impossible.append(_failed(question, error))
        else:
            shortened += dropped > 0
    return prompts, impossible, shortened


def _batches(prompts: dict[str, list[int]], rows: int, token_budget: int, decoding: Decoding) -> list[list[str]]:
    """Question ids in batches of about equal length, longest first, so that memory peaks at once and not at the end."""
    out: list[list[str]] = []
    most = 0
    for name in sorted(prompts, key=lambda name: -len(prompts[name])):
        if out and len(out[-1]) < most:
            out[-1].append(name)
        else:
            row = decoding.beams * (len(prompts[name]) + decoding.max_new_tokens)
            most = min(rows, token_budget // row)
            out.append([name])
    return out


def _ask(
    engine: Engine,
    asked: Sequence[tuple[Question, list[int]]],
    decoding: Decoding,
    on_text: Callable[[int, str], None] | None,
) -> Iterator[list[Answer]]:
    """The answers to a batch of questions and their prompts; in halves where memory runs out."""
    started = time.perf_counter()
    try:
        found = engine.generate([prompt for _, prompt in asked], decoding, on_text=on_text)
    except MemoryShortageError as error:
        if len(asked) == 1:
            yield [_failed(asked[0][0], error)]
            return
        half = len(asked) // 2
        yield from _ask(engine, asked[:half], decoding, on_text)
        yield from _ask(engine, asked[half:], decoding, on_text)
        return
    seconds = (time.perf_counter() - started) / len(asked)
    yield [
        Answer(
            id=question.id,
            question=question.text,
            text=generated.text.strip(),
            reference=question.reference,
            finish=generated.finish,
            tokens=len(generated.ids),
            seconds=seconds,
        )
        for (question, _), generated in zip(asked, found, strict=True)
    ]


def _failed(question: Question, error: BentsaoError) -> Answer:
    return Answer(
        id=question.id,
        question=question.text,
        text="",
        reference=question.reference,
        finish="error",
        error=str(error),
    )


class _Manifest(Record):
    """What the answers of a run were made with. `questions`: hash of each question by id."""

    bentsao: str
    settings: dict[str, Any]
    questions: dict[str, str]


class _Book:
    """The answers on disk: the journal while a run lasts, `out` at its end, the manifest all the time.

    Its order of writing keeps one promise: an answer found on disk was made with the manifest's settings, for the
    question whose hash the manifest has.
    """

    def __init__(self, out: Path, settings: dict[str, Any], questions: Sequence[Question], *, restart: bool) -> None:
        self._out = out
        self._journal = out.with_name(out.name + ".part")
        self._questions = questions
        manifest = out.with_name(out.name + ".manifest.json")
        hashes = {question.id: sha256_text(question.model_dump_json()) for question in questions}
        if out.is_dir():
            raise ConfigError(f"{out} 是一个目录，这里需要一个文件名，如 {out / 'answers.jsonl'}。")
        self.answers = {} if restart else self._found(manifest, settings, hashes)
        write_jsonl(self._journal, [answer.model_dump() for answer in self.answers.values()])
        write_json(manifest, _Manifest(bentsao=__version__, settings=settings, questions=hashes).model_dump())

    def _found(self, manifest: Path, settings: dict[str, Any], hashes: dict[str, str]) -> dict[str, Answer]:
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

    def _read(self) -> dict[str, Answer]:
        """The answers on disk. A line that a kill left half written is none, and errors are tried again."""
        path = self._journal if self._journal.exists() else self._out
        answers: dict[str, Answer] = {}
        # By bytes: the cut may be within a character.
        for line in path.read_bytes().split(b"\n") if path.exists() else []:
            try:
                answer = Answer.model_validate_json(line)
            except ValidationError:
                continue
            if answer.finish != "error":
                answers[answer.id] = answer
        return answers

    def append(self, answers: Sequence[Answer]) -> None:
        """Keep these answers, on the disk before this returns."""
        self.answers.update({answer.id: answer for answer in answers})
        with self._journal.open("a", encoding="utf-8", newline="\n") as journal:
            journal.write("".join(answer.model_dump_json() + "\n" for answer in answers))
            journal.flush()
            os.fsync(journal.fileno())

    def close(self) -> list[Answer]:
        """Write `out` and take the journal away."""
        answers = [self.answers[question.id] for question in self._questions]
        write_jsonl(self._out, [answer.model_dump() for answer in answers])
        self._journal.unlink()
        return answers

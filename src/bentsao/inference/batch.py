"""Many questions → a file of answers. May be killed at any moment and started again; nothing is asked twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bentsao.core.errors import BentsaoError
from bentsao.core.records import Answer, Question
from bentsao.inference.answers import answer_to
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Described, Engine, MemoryShortageError, Spread, fitted_prompt
from bentsao.inference.journal import Journal

Batch = Sequence[tuple[Question, list[int]]]
"""Questions that are asked together, with their prompts."""


def answer_all(
    engine: Engine | Spread,
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

    engine: a Spread gets the batches that a single engine would, several at once, and so answers the same.
    rows, token_budget: a batch has at most this many questions, and beams × questions × (longest prompt + room for the
        answer) at most this many tokens. When memory runs out all the same, the batch is halved.
    restart: ask everything again, whatever was answered before.
    progress: called with (answered, all), at the start too; while a batch is written, an answer counts by the part of
        `max_new_tokens` it has. report: called with what the user should know.

    A question that cannot be answered becomes an Answer with finish "error", and the run goes on. Questions must have
    ids of their own (ValueError). Raises ConfigError if `out` holds answers made with other settings or to other
    questions, or is not ours.
    """
    report = report or (lambda _: None)
    journal = Journal(Answer, out, settings_of(engine, decoding), questions, restart=restart)
    if journal.answers:
        report(journal.resumed)

    written = 0  # pieces of the batch at work, each of one token or more

    def tell() -> None:
        if progress:
            progress(len(journal.answers) + written / decoding.max_new_tokens, len(questions))

    def count(_row: int, _piece: str) -> None:
        nonlocal written
        written += 1
        tell()

    tell()
    prompts, impossible, shortened = _prompts(engine, questions, decoding)
    if shortened:
        report(f"{shortened} 个问题的对话历史太长，最早的几轮没有带上。")
    journal.append(impossible)
    by_id = {question.id: question for question in questions}
    # Batches are those of a run from nothing, so that a seeded run draws the same when it was interrupted.
    left = [
        [(by_id[name], prompts[name]) for name in batch if name not in journal.answers]
        for batch in _batches(prompts, rows, token_budget, decoding)
    ]
    for answers in _asked(engine, [batch for batch in left if batch], decoding, count if progress else None, report):
        journal.append(answers)
        written = 0
        tell()
    return journal.close()


def settings_of(engine: Described, decoding: Decoding) -> dict[str, Any]:
    """All that decides what the answers are."""
    chat_format = engine.chat_format
    return {
        "engine": engine.name,
        "format": f"{chat_format.name} ({chat_format.hash})",
        **{f"decoding.{name}": value for name, value in decoding.model_dump().items()},
    }


def _prompts(
    engine: Described, questions: Sequence[Question], decoding: Decoding
) -> tuple[dict[str, list[int]], list[Answer], int]:
    """The prompts by question id, an Answer for each question that has none, and how many prompts lost history."""
    prompts: dict[str, list[int]] = {}
    impossible: list[Answer] = []
    shortened = 0
    for question in questions:
        try:
            prompts[question.id], dropped = fitted_prompt(engine, question.messages, decoding)
        except BentsaoError as error:
            impossible.append(answer_to(question, error=str(error)))
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


def _asked(
    engine: Engine | Spread,
    batches: Sequence[Batch],
    decoding: Decoding,
    on_text: Callable[[int, str], None] | None,
    report: Callable[[str], None],
) -> Iterator[list[Answer]]:
    """The answers to the batches as they come; a batch's may come in parts, and those of a Spread in any order."""
    if isinstance(engine, Spread):
        yield from engine.each(partial(_answers, decoding=decoding), batches, report)
    else:
        for batch in batches:
            yield from _ask(engine, batch, decoding, on_text)


def _answers(engine: Engine, batch: Batch, decoding: Decoding) -> list[Answer]:
    return [answer for answers in _ask(engine, batch, decoding, None) for answer in answers]


def _ask(
    engine: Engine,
    asked: Batch,
    decoding: Decoding,
    on_text: Callable[[int, str], None] | None,
) -> Iterator[list[Answer]]:
    """The answers to a batch of questions and their prompts; in halves where memory runs out."""
    started = time.perf_counter()
    try:
        found = engine.generate([prompt for _, prompt in asked], decoding, on_text=on_text)
    except MemoryShortageError as error:
        if len(asked) == 1:
            yield [answer_to(asked[0][0], error=str(error))]
            return
        half = len(asked) // 2
        yield from _ask(engine, asked[:half], decoding, on_text)
        yield from _ask(engine, asked[half:], decoding, on_text)
        return
    seconds = (time.perf_counter() - started) / len(asked)
    yield [
        answer_to(question, generated.text, finish=generated.finish, tokens=len(generated.ids), seconds=seconds)
        for (question, _), generated in zip(asked, found, strict=True)
    ]

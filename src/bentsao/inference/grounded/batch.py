"""Many questions → a file of grounded answers, as `inference/batch.py` does it for plain ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bentsao.core.records import Answer, Question
from bentsao.inference.answers import answer_to
from bentsao.inference.batch import settings_of
from bentsao.inference.grounded.answering import BATCH, Answerer
from bentsao.inference.grounded.records import GroundedAnswer, GroundedQuestion
from bentsao.inference.journal import Journal


def answer_all_grounded(
    answerer: Answerer,
    questions: Sequence[Question],
    out: Path,
    *,
    rows: int = BATCH,
    restart: bool = False,
    progress: Callable[[float, int], None] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Answer]:
    """Answer the questions into `out` (JSON lines of Answer, with their evidence), both in the questions' order.

    The last user's message is the question, those before it are its history. rows: questions that are answered
    together. The other arguments, the journal and the errors are those of `batch.answer_all`.
    """
    journal = Journal(Answer, out, grounded_settings(answerer), questions, restart=restart)
    if journal.answers:
        report(journal.resumed)
    tell = progress or (lambda _done, _all: None)
    tell(len(journal.answers), len(questions))
    # Batches are those of a run from nothing, as in the plain mode; of about equal length, the longest first.
    ordered = sorted(questions, key=lambda question: -len(question.text))
    for start in range(0, len(ordered), rows):
        batch = [question for question in ordered[start : start + rows] if question.id not in journal.answers]
        answers = answerer.answer([as_grounded(question) for question in batch])
        journal.append([as_answer(*pair) for pair in zip(answers, batch, strict=True)])
        tell(len(journal.answers), len(questions))
    return journal.close()


def as_grounded(question: Question) -> GroundedQuestion:
    """The question with what its person said before."""
    said = [message.content for message in question.messages[:-1] if message.role == "user"]
    return GroundedQuestion(id=question.id, question=question.text, history=tuple(said))


def as_answer(answer: GroundedAnswer, question: Question) -> Answer:
    """The answer as plain answers are kept; what it was about and what was taken out is left to GroundedAnswer."""
    return answer_to(
        question,
        answer.answer,
        finish=answer.finish,
        error=answer.error,
        evidence=answer.evidence,
        tokens=answer.tokens,
        seconds=answer.seconds,
    )


def grounded_settings(answerer: Answerer) -> dict[str, Any]:
    """All that decides what the answers are."""
    engine = answerer.engine
    return {
        **({"engine": None} if engine is None else settings_of(engine, answerer.decoding)),
        "knowledge_base": answerer.kb.version,
        **{f"policy.{name}": value for name, value in answerer.policy.model_dump().items()},
        "bundle": answerer.bundle,
    }

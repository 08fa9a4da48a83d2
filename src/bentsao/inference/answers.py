"""An answer with what goes with every answer: the alarm before it, and what to bear in mind behind it."""

from __future__ import annotations

from typing import Literal

from bentsao.core.records import Answer, Evidence, Question
from bentsao.inference.safety import caution, look


def answer_to(
    question: Question,
    text: str = "",
    *,
    finish: Literal["end", "length", "error"] = "end",
    error: str | None = None,
    evidence: tuple[Evidence, ...] = (),
    tokens: int = 0,
    seconds: float = 0.0,
) -> Answer:
    """The record of what was answered, whoever wrote it. error: why there is no answer; None where there is one."""
    return Answer(
        id=question.id,
        question=question.text,
        text=text.strip(),
        alarm=look(question.messages),
        cautions=caution(question.messages),
        reference=question.reference,
        evidence=evidence,
        finish=finish if error is None else "error",
        tokens=tokens,
        seconds=seconds,
        error=error,
    )

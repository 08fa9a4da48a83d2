"""A teacher's writing from a knowledge base, in one call."""

from __future__ import annotations

from pathlib import Path

from bentsao.construction.teacher.checking import Beyond
from bentsao.construction.teacher.dialogues import DialoguePlan, dialogue_jobs
from bentsao.construction.teacher.qa import QAPlan, qa_jobs
from bentsao.construction.teacher.writing import Doing, Written, write
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.remote.asking import Asking

PLAINLY = Doing()


def write_qa(
    kb: KnowledgeBase,
    asking: Asking,
    journal: Path,
    plan: QAPlan,
    *,
    beyond: Beyond = "drop",
    doing: Doing = PLAINLY,
) -> Written:
    """Questions and answers from the facts of a knowledge base. See `write`."""
    return write("qa", qa_jobs(kb, asking, plan, beyond), asking, journal, doing)


def write_dialogues(
    kb: KnowledgeBase,
    asking: Asking,
    journal: Path,
    plan: DialoguePlan,
    *,
    beyond: Beyond = "drop",
    doing: Doing = PLAINLY,
) -> Written:
    """Dialogues from the literature of a knowledge base. See `write`."""
    return write("dialogue", dialogue_jobs(kb, asking, plan, beyond), asking, journal, doing)

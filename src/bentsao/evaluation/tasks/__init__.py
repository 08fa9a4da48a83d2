"""The tasks that `bentsao evaluate` measures: one file each. To add one, write a file with a `TASK` and put it here."""

from __future__ import annotations

from typing import Any

from bentsao.evaluation.tasks import choice, cmcoqa, dialogue, indications, knowledge, open, polarity, safety
from bentsao.evaluation.tasks.task import Task

TASKS: dict[str, Task[Any]] = {
    task.name: task
    for task in (
        open.TASK,
        cmcoqa.TASK,
        knowledge.TASK,
        polarity.TASK,
        choice.TASK,
        indications.TASK,
        dialogue.TASK,
        safety.TASK,
    )
}  # fmt: skip
"""The tasks by name."""

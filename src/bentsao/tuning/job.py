"""What a tuning run is told and what it tells: the job, a record of each step and validation, how it ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from bentsao.core.rendering import Row
from bentsao.tuning.batches import Kept
from bentsao.tuning.recipe import TrainingPart


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step. loss: weighted mean per learnt token; tokens: all that were read, padding left out; seconds:
    of the step; grad_norm: before clipping; by_part: as in `EvalRecord`.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int
    learnt: int
    seconds: float
    by_part: dict[str, float]


@dataclass(frozen=True)
class EvalRecord:
    """A validation: weighted mean loss per learnt token over `rows` rows, after `step` steps.

    by_part: the plain mean of each part of `grounding.PARTS` that these rows have; empty where the run has only one.
    """

    step: int
    loss: float
    rows: int
    by_part: dict[str, float]


class Reporter(Protocol):
    """Whoever wants to know how a run goes."""

    def step(self, record: StepRecord) -> None:
        """An optimizer step is done."""

    def validating(self, done: int, rows: int) -> None:
        """A validation is under way: how many of this process's rows are done."""

    def evaluated(self, record: EvalRecord) -> None:
        """A validation is done."""

    def saved(self, step: int) -> None:
        """A checkpoint is on the disk."""


def run_steps(rows: int, training: TrainingPart) -> int:
    """Optimizer steps of a whole run over that many rows, at least one."""
    wanted = max(1, round(math.ceil(rows / training.batch_rows) * training.epochs))
    return min(wanted, training.steps) if training.steps else wanted


def note_steps(training: TrainingPart, rows: int, note: Callable[[str], None]) -> None:
    """Told where the epochs end a run before the steps that were asked for."""
    if training.steps and (steps := run_steps(rows, training)) < training.steps:
        note(
            f"steps={training.steps} 多于 {training.epochs:g} 轮的 {steps} 步，"
            f"训练 {steps} 步就结束；要更多请调大 --epochs"
        )


@dataclass(frozen=True)
class Job:
    """What a run needs besides the model: rows with the ids of their conversations, and how it is learnt.

    valid may be empty. pad_id is any id of the vocabulary. micro_tokens: rows × longest of one forward at the most.
    folder: where checkpoints go; resume: the checkpoint to go on from, None to begin.
    stop: asked after each step in every process; True in any saves a checkpoint and ends the run early.
    kept: what the frozen lower layers make of the rows; None computes it each time.
    """

    train: Sequence[Row]
    train_ids: Sequence[str]
    valid: Sequence[Row]
    training: TrainingPart
    pad_id: int
    micro_tokens: int
    folder: Path
    resume: Path | None = None
    stop: Callable[[], bool] = lambda: False
    kept: Kept | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the training rows."""
        return math.ceil(len(self.train) / self.training.batch_rows)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return run_steps(len(self.train), self.training)

    @cached_property
    def parts(self) -> frozenset[str]:
        """The parts that the rows have, of `grounding.PARTS`."""
        return frozenset(part for row in (*self.train, *self.valid) for part, _, _ in row.spans())


@dataclass(frozen=True)
class Outcome:
    """How a run ended. finished is False when `stop` ended it; best is (validation loss, step) or None."""

    finished: bool
    steps: int
    history: list[dict[str, Any]]
    best: tuple[float, int] | None

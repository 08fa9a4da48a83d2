"""The training loop: short, on accelerate, the same on one device and on many.

It knows rows and an objective. It does not know files of data, chat formats or the screen: what happens is told to a
`Reporter`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor

from bentsao.core.errors import ModelError
from bentsao.core.files import whole_file
from bentsao.core.rendering import Row
from bentsao.tuning.batches import MicroBatch, epoch_steps, micro_batches, share, stack
from bentsao.tuning.checkpoints import (
    Moving,
    State,
    adapter_weights,
    load_checkpoint,
    load_weights,
    restore_rng,
    rng_state,
    save_checkpoint,
)
from bentsao.tuning.objective import LabelledLoss, Losses
from bentsao.tuning.parts import Measured, learnt_by_part, means, no_sums, sums_of, weigh, weight_tensor
from bentsao.tuning.recipe import TrainingPart

BEST = "best.safetensors"


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

    def evaluated(self, record: EvalRecord) -> None:
        """A validation is done."""

    def saved(self, step: int) -> None:
        """A checkpoint is on the disk."""


@dataclass(frozen=True)
class Job:
    """What a run needs besides the model: rows with the ids of their conversations, and how it is learnt.

    valid may be empty. pad_id is any id of the vocabulary. micro_tokens: rows × longest of one forward at the most.
    folder: where checkpoints go; resume: the checkpoint to go on from, None to begin.
    stop: asked after each step in every process; True in any saves a checkpoint and ends the run early.
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

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the training rows."""
        return math.ceil(len(self.train) / self.training.batch_rows)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run, at least one."""
        wanted = max(1, round(self.steps_per_epoch * self.training.epochs))
        return min(wanted, self.training.steps) if self.training.steps else wanted

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


def train(model: PeftModel, objective: LabelledLoss, job: Job, accelerator: Accelerator, reporter: Reporter) -> Outcome:
    """Run the job to its end (or to `stop`); the model then holds the best adapter, or the last without validation.

    Raises ModelError naming the conversations when a loss or gradient is not finite.
    """
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=job.training.learning_rate,
        weight_decay=job.training.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_shape(job.training, job.steps))
    moving, state = Moving(model, optimizer, schedule), State(0, [], None)
    if job.resume is not None:
        state, rng = load_checkpoint(job.resume, moving)
        restore_rng(rng, accelerator.process_index)
    wrapped, prepared = accelerator.prepare(objective, optimizer)
    return _Run(moving, objective, wrapped, prepared, job, accelerator, reporter, state).go()


def learning_rate_shape(training: TrainingPart, steps: int) -> Callable[[int], float]:
    """The learning rate's factor by step: linear warm-up, then linear or cosine decay to 0, or constant."""
    warm = round(training.warmup * steps)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        if training.schedule == "constant":
            return 1.0
        done = (step - warm) / max(1, steps - warm)
        return max(0.0, 1 - done) if training.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return factor


@torch.no_grad()
def evaluate(objective: LabelledLoss, rows: Sequence[Row], job: Job, accelerator: Accelerator) -> Measured:
    """The loss over the rows, the same on every process.

    objective: not wrapped for data-parallel training, whose forward is an exchange that a process with fewer rows
    would miss.
    """
    objective.eval()
    sums = no_sums(accelerator.device)
    mine = share(range(len(rows)), rows, accelerator.process_index, accelerator.num_processes)
    for places in micro_batches(mine, rows, job.micro_tokens):
        sums += sums_of(_losses(objective, stack(places, rows, job.pad_id, accelerator.device), job))
    objective.train()
    return _means(sums, learnt_by_part(rows), job, accelerator)


def _losses(objective: torch.nn.Module, batch: MicroBatch, job: Job) -> Losses:
    weights = weight_tensor(job.training.part_weights, batch.ids.device)
    return objective(batch.ids, batch.mask, batch.targets, batch.parts, weights)


def _means(sums: Tensor, learnt: Counter[str], job: Job, accelerator: Accelerator) -> Measured:
    """From this process's sums to the means over all; `learnt` counts over all."""
    return means(cast(Tensor, accelerator.reduce(sums, reduction="sum")), learnt, job.training.part_weights)


@dataclass
class _Run:
    """A run under way: the objects of `train`, so that each step of it reads as one short function.

    wrapped: the objective as accelerate prepared it for training on several devices.
    """

    moving: Moving
    objective: LabelledLoss
    wrapped: torch.nn.Module
    optimizer: Any
    job: Job
    accelerator: Accelerator
    reporter: Reporter
    state: State

    def go(self) -> Outcome:
        job, state = self.job, self.state
        if state.step == 0:
            self._evaluate(job.valid)
        self.objective.train()
        every = job.training.evaluate_every or max(1, round(job.steps / 10))
        for step, places in self._remaining_steps():
            self._step(step, places)
            state.step = step + 1
            last = state.step == job.steps
            if last or state.step % every == 0:
                self._keep_if_best(self._evaluate(self._sample))
            stopping = self._asked_to_stop() and not last
            if last or stopping or state.step % job.training.save_every == 0:
                self._save()
            if stopping:
                return Outcome(False, state.step, state.history, state.best)
        if state.best is not None:
            load_weights(self.moving.model, job.folder / BEST)
            if len(self._sample) < len(job.valid) or state.best[1] != state.step:
                self._evaluate(job.valid)
        return Outcome(True, state.step, state.history, state.best)

    def _asked_to_stop(self) -> bool:
        """Whether any process was asked to stop: signals come at different steps, and all must end at the same one."""
        asked = torch.tensor(float(self.job.stop()), device=self.accelerator.device)
        return bool(cast(Tensor, self.accelerator.reduce(asked, reduction="sum")).item())

    @property
    def _sample(self) -> Sequence[Row]:
        """The validation rows on which adapters are compared on the way; always the same."""
        return self.job.valid[: self.job.training.evaluate_rows]

    def _remaining_steps(self) -> Iterator[tuple[int, list[int]]]:
        """(step number, rows of the whole step over all processes), from where the run stands."""
        training, per_epoch = self.job.training, self.job.steps_per_epoch
        step = self.state.step
        while step < self.job.steps:
            epoch = step // per_epoch
            plan = epoch_steps(len(self.job.train), training.batch_rows, training.seed, epoch)
            for places in plan[step % per_epoch :]:
                if step >= self.job.steps:
                    return
                yield step, places
                step += 1

    def _step(self, step: int, places: list[int]) -> None:
        started = time.perf_counter()
        rows = self.job.train
        learnt = learnt_by_part(rows[place] for place in places)
        measured = self._gradients(places, learnt)
        if not math.isfinite(measured.loss):
            self._blame(step, places, "损失")
        norm = self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.job.training.max_grad_norm)
        grad_norm = float(norm) if norm is not None else 0.0
        if not math.isfinite(grad_norm):
            self._blame(step, places, "梯度")
        self.optimizer.step()
        rate = float(self.moving.schedule.get_last_lr()[0])
        self.moving.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        record = StepRecord(
            step + 1,
            self.job.steps,
            (step + 1) / self.job.steps_per_epoch,
            measured.loss,
            rate,
            grad_norm,
            sum(len(rows[place].ids) for place in places),
            learnt.total(),
            time.perf_counter() - started,
            self._shown(measured),
        )
        self._remember(record, {"loss": record.loss, "learning_rate": rate, "grad_norm": grad_norm})
        self.reporter.step(record)

    def _gradients(self, places: list[int], learnt: Counter[str]) -> Measured:
        """Backward over this process's micro-batches; returns the step's losses over all processes.

        The weighted sum is divided by the weights of the whole step's learnt tokens, so the gradient does not depend on
        how rows are cut into micro-batches or dealt out to processes. Data-parallel wrappers average gradients, hence
        the factor.
        """
        accelerator, rows = self.accelerator, self.job.train
        mine = share(places, rows, accelerator.process_index, accelerator.num_processes)
        # Every process must take part in the exchange: one without rows reads the step's first, and counts it for 0.
        weighed = weigh(learnt, self.job.training.part_weights)
        factor = accelerator.num_processes / weighed if mine and weighed else 0.0
        batches = micro_batches(mine or places[:1], rows, self.job.micro_tokens)
        sums = no_sums(accelerator.device)
        for number, chosen in enumerate(batches):
            batch = stack(chosen, rows, self.job.pad_id, accelerator.device)
            if number < len(batches) - 1:
                with accelerator.no_sync(self.wrapped):
                    sums += self._backward(batch, factor)
            else:
                sums += self._backward(batch, factor)
        return _means(sums if mine else sums * 0, learnt, self.job, accelerator)

    def _backward(self, batch: MicroBatch, factor: float) -> Tensor:
        losses = _losses(self.wrapped, batch, self.job)
        self.accelerator.backward(losses.total * factor)
        return sums_of(losses)

    def _evaluate(self, rows: Sequence[Row]) -> float | None:
        """The loss on the rows, recorded; None where there are no rows."""
        if not rows:
            return None
        measured = evaluate(self.objective, rows, self.job, self.accelerator)
        record = EvalRecord(self.state.step, measured.loss, len(rows), self._shown(measured))
        self._remember(record, {"valid_loss": record.loss, "rows": record.rows})
        self.reporter.evaluated(record)
        return measured.loss

    def _shown(self, measured: Measured) -> dict[str, float]:
        return measured.by_part if len(self.job.parts) > 1 else {}

    def _remember(self, record: StepRecord | EvalRecord, values: dict[str, float]) -> None:
        by_part = {"by_part": record.by_part} if record.by_part else {}
        self.state.history.append({"step": record.step, **values, **by_part})

    def _keep_if_best(self, loss: float | None) -> None:
        if loss is None or not math.isfinite(loss) or (self.state.best is not None and loss >= self.state.best[0]):
            return
        self.state.best = (loss, self.state.step)
        if self.accelerator.is_main_process:
            with whole_file(self.job.folder / BEST) as temporary:
                save_file(adapter_weights(self.moving.model), temporary)
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        rng = cast("list[dict[str, Any]]", gather_object([rng_state()]))
        if self.accelerator.is_main_process:
            save_checkpoint(self.job.folder, self.state, self.moving, rng)
        self.accelerator.wait_for_everyone()
        self.reporter.saved(self.state.step)

    def _blame(self, step: int, places: list[int], what: str) -> None:
        """Find the conversations that make the loss non-finite, and stop."""
        rows, guilty = self.job.train, list[str]()
        self.objective.eval()
        with torch.no_grad():
            for place in places:
                batch = stack([place], rows, self.job.pad_id, self.accelerator.device)
                if not bool(torch.isfinite(_losses(self.objective, batch, self.job).total)):
                    guilty.append(self.job.train_ids[place])
        named = guilty or [self.job.train_ids[place] for place in places]
        how = "这些数据使其如此" if guilty else "单独看每条数据都正常，这一步的数据是"
        raise ModelError(
            f"第 {step + 1} 步的{what}不是有限的数，训练停止（检查点保留）。{how}：{'、'.join(named)}。"
            "可以减小 learning_rate、换 dtype=float32，或检查这些数据。"
        )

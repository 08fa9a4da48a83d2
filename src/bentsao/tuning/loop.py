"""The training loop: short, on accelerate, the same on one device and on many.

It knows rows and an objective. It does not know files of data, chat formats or the screen: what happens is told to a
`Reporter`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from bentsao.core.errors import ModelError
from bentsao.core.rendering import Row
from bentsao.tuning.batches import epoch_steps, micro_batches, share, stack
from bentsao.tuning.checkpoints import (
    Moving,
    Pace,
    State,
    load_checkpoint,
    load_weights,
    restore_rng,
    save_checkpoint,
    save_weights,
    tuned,
)
from bentsao.tuning.heads import Losses
from bentsao.tuning.job import EvalRecord, Job, Outcome, Reporter, StepRecord
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.parts import Measured, learnt_by_part, means, no_sums, sums_of, weigh, weight_tensor
from bentsao.tuning.recipe import TrainingPart
from bentsao.tuning.sharding import is_sharded, let_go, shard, whole

BEST = "best.safetensors"


def train(model: nn.Module, objective: LabelledLoss, job: Job, accelerator: Accelerator, reporter: Reporter) -> Outcome:
    """Run the job to its end (or to `stop`); the model then holds the best weights, or the last without validation.

    Raises ModelError naming the conversations when a loss or gradient is not finite.
    """
    sharded = job.training.shard and accelerator.num_processes > 1
    if sharded:
        shard(objective, accelerator)
    optimizer = torch.optim.AdamW(
        tuned(model).values(),
        lr=job.training.learning_rate,
        weight_decay=job.training.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_shape(job.training, job.steps))
    moving, state = Moving(model, optimizer, schedule), State(0, [], None)
    if job.resume is not None:
        state, rng = load_checkpoint(job.resume, moving)
        restore_rng(rng, accelerator.process_index)
    wrapped, prepared = (objective, optimizer) if sharded else accelerator.prepare(objective, optimizer)
    return _Run(moving, objective, wrapped, prepared, job, accelerator, reporter, state, sharded).go()


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
def evaluate(
    objective: LabelledLoss, rows: Sequence[Row], job: Job, accelerator: Accelerator, reporter: Reporter
) -> Measured:
    """The loss over the rows, the same on every process; the reporter is told how far it is.

    objective: not wrapped for data-parallel training, whose forward is an exchange that a process with fewer rows
    would miss.
    """
    objective.eval()
    sums = no_sums(accelerator.device)
    batches = _deal(range(len(rows)), rows, job, accelerator, is_sharded(objective))
    mine, done = sum(len(places) for places, counts in batches if counts), 0
    for places, counts in batches:
        sums += sums_of(_losses(objective, rows, places, job, accelerator)) * counts
        done += len(places) * counts
        reporter.validating(done, mine)
    let_go(objective)
    objective.train()
    return _means(sums, learnt_by_part(rows), job, accelerator)


def _deal(
    places: Sequence[int], rows: Sequence[Row], job: Job, accelerator: Accelerator, together: bool
) -> list[tuple[list[int], bool]]:
    """This process's micro-batches of these rows, each with whether it counts.

    together: every process gets as many, because each forward is an exchange between all of them; one that has fewer
    reads the first row again, which does not count.
    """
    processes = range(accelerator.num_processes if together else 1)
    shares = [
        share(places, rows, (accelerator.process_index + n) % accelerator.num_processes, accelerator.num_processes)
        for n in processes
    ]
    dealt = [micro_batches(mine, rows, job.micro_tokens) for mine in shares]
    idle = max(map(len, dealt)) - len(dealt[0])
    return [(batch, True) for batch in dealt[0]] + [(list(places[:1]), False)] * idle


def _losses(
    objective: nn.Module, rows: Sequence[Row], places: Sequence[int], job: Job, accelerator: Accelerator
) -> Losses:
    batch = stack(places, rows, job.pad_id, accelerator.device)
    given = None if job.kept is None else job.kept.read([rows[place] for place in places], accelerator.device)
    weights = weight_tensor(job.training.part_weights, batch.ids.device)
    return objective(batch.ids, batch.mask, batch.targets, batch.parts, weights, given=given)


def _means(sums: Tensor, learnt: Counter[str], job: Job, accelerator: Accelerator) -> Measured:
    """From this process's sums to the means over all; `learnt` counts over all."""
    return means(cast(Tensor, accelerator.reduce(sums, reduction="sum")), learnt, job.training.part_weights)


@dataclass
class _Run:
    """A run under way: the objects of `train`, so that each step of it reads as one short function.

    wrapped: the objective as accelerate prepared it for training on several devices; itself where it is sharded.
    """

    moving: Moving
    objective: LabelledLoss
    wrapped: nn.Module
    optimizer: Any
    job: Job
    accelerator: Accelerator
    reporter: Reporter
    state: State
    sharded: bool
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.job.training.save_seconds)

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
            stop, due = self._in_any(job.stop(), self.pace.due())
            if last or stop or due or state.step % job.training.save_every == 0:
                self._save()
            if stop and not last:
                return Outcome(False, state.step, state.history, state.best)
        if state.best is not None:
            load_weights(self.moving.model, job.folder / BEST)
            if len(self._sample) < len(job.valid) or state.best[1] != state.step:
                self._evaluate(job.valid)
        return Outcome(True, state.step, state.history, state.best)

    def _in_any(self, *said: bool) -> list[bool]:
        """Whether it holds in any process: signals and clocks differ, and all must save and end after the same step."""
        sums = torch.tensor([float(each) for each in said], device=self.accelerator.device)
        return [each > 0 for each in cast(Tensor, self.accelerator.reduce(sums, reduction="sum")).tolist()]

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
        norm = nn.utils.clip_grad_norm_(tuned(self.moving.model).values(), self.job.training.max_grad_norm)
        grad_norm = float(whole(norm))
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
        accelerator = self.accelerator
        weighed = weigh(learnt, self.job.training.part_weights)
        factor = accelerator.num_processes / weighed if weighed else 0.0
        # Every process must take part in the exchange of gradients: one without rows reads the step's first.
        batches = _deal(places, self.job.train, self.job, accelerator, self.sharded) or [(places[:1], False)]
        sums = no_sums(accelerator.device)
        for number, (chosen, counts) in enumerate(batches):
            # Sharded gradients are exchanged each time: their whole, kept for later, would not fit.
            waits = number < len(batches) - 1 and not self.sharded
            with accelerator.no_sync(self.wrapped) if waits else nullcontext():
                losses = _losses(self.wrapped, self.job.train, chosen, self.job, accelerator)
                accelerator.backward(losses.total * (factor * counts))
            sums += sums_of(losses) * counts
        return _means(sums, learnt, self.job, accelerator)

    def _evaluate(self, rows: Sequence[Row]) -> float | None:
        """The loss on the rows, recorded; None where there are no rows."""
        if not rows:
            return None
        measured = evaluate(self.objective, rows, self.job, self.accelerator, self.reporter)
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
        save_weights(self.moving.model, self.job.folder / BEST, self.accelerator)

    def _save(self) -> None:
        with self.pace.writing():
            save_checkpoint(self.job.folder, self.state, self.moving, self.accelerator)
        self.reporter.saved(self.state.step)

    def _blame(self, step: int, places: list[int], what: str) -> None:
        """Find the conversations that make the loss non-finite, and stop."""
        rows, guilty = self.job.train, list[str]()
        self.objective.eval()
        with torch.no_grad():
            for place in places:
                losses = _losses(self.objective, rows, [place], self.job, self.accelerator)
                if not bool(torch.isfinite(losses.total)):
                    guilty.append(self.job.train_ids[place])
        named = guilty or [self.job.train_ids[place] for place in places]
        how = "这些数据使其如此" if guilty else "单独看每条数据都正常，这一步的数据是"
        raise ModelError(
            f"第 {step + 1} 步的{what}不是有限的数，训练停止（检查点保留）。{how}：{'、'.join(named)}。"
            "可以减小 learning_rate、换 dtype=float32，或检查这些数据。"
        )

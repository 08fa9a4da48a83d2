"""What kept activations save: CPU seconds an epoch with all layers tuned, upper layers, and those from the disk.

    python benchmarks/kept_activations.py --data llama_data.json --rows 16 --lowest 12

CPU seconds of one thread, so that other work on the machine changes little. An epoch is forward and backward over the
rows; the first epoch with kept activations also computes them.
"""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from bentsao.models.loading import load_base
from bentsao.tuning.data import gather
from bentsao.tuning.frozen import keep
from bentsao.tuning.job import EvalRecord, Job, StepRecord
from bentsao.tuning.loop import train
from bentsao.tuning.lora import add_lora
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.recipe import DataPart, LoraPart, TrainingPart
from bentsao.tuning.rows import make_rows


class Clock:
    """CPU seconds and loss of each step (a step is an epoch here)."""

    def __init__(self) -> None:
        self.at = [time.process_time()]
        self.losses: list[float] = []

    def step(self, record: StepRecord) -> None:
        """An epoch is over."""
        self.at.append(time.process_time())
        self.losses.append(record.loss)

    def validating(self, done: int, rows: int) -> None:
        """Nothing."""

    def evaluated(self, record: EvalRecord) -> None:
        """There are no validations."""

    def saved(self, step: int) -> None:  # noqa: ARG002
        """Time spent on checkpoints is not counted."""
        self.at[-1] = time.process_time()


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--base", default="embedded")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--lowest", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| tuned | first epoch, CPU s | each epoch after | disk, MB | losses |\n|---|---|---|---|---|")
    for lowest, kept in ((0, False), (given.lowest, False), (given.lowest, True)):
        base = load_base(given.base, device="cpu")
        data = gather(DataPart(files=(given.data,), validation=0, limit=given.rows), 0)
        made = make_rows(data.train, base.default_format, base.tokens, cutoff=1024)
        set_seed(0)
        model = add_lora(base.model, LoraPart(), quantised=False, checkpointing=False, lowest=lowest)
        objective = LabelledLoss(model)
        training = TrainingPart(
            epochs=given.epochs, batch_rows=len(made.rows), schedule="constant", warmup=0, lowest_layer=lowest
        )
        with tempfile.TemporaryDirectory() as folder:
            job = Job(made.rows, made.ids, (), training, base.tokens.pad_id, 1024, Path(folder))
            clock, accelerator = Clock(), Accelerator(cpu=True)
            if kept:
                job = replace(job, kept=keep(objective, job, accelerator, lambda _: None))
            train(model, objective, job, accelerator, clock)
            size = sum(f.stat().st_size for f in Path(folder).glob("activations/*")) / 1e6
        first, *rest = [b - a for a, b in zip(clock.at, clock.at[1:], strict=False)]
        what = f"layers {lowest} and up{', kept' if kept else ''}" if lowest else "all layers"
        losses = ", ".join(f"{loss:.6f}" for loss in clock.losses)
        print(f"| {what} | {first:.1f} | {sum(rest) / max(1, len(rest)):.1f} | {size:.1f} | {losses} |", flush=True)


if __name__ == "__main__":
    main()

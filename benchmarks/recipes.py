"""Which recipe learns most from the same rows: LoRA targets and learning rates side by side on the embedded base.

    python benchmarks/recipes.py --data llama_data.json --names names.txt

Every recipe starts from the same base, takes the same steps over the same rows and is validated on the same held-out
diseases. Printed: validation loss per learnt token before and after, tokens/s.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed

from bentsao.core.formats import FORMATS
from bentsao.models.loading import load_base
from bentsao.tuning.data import gather
from bentsao.tuning.job import EvalRecord, Job, StepRecord
from bentsao.tuning.loop import train
from bentsao.tuning.lora import add_lora
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.recipe import DataPart, LoraPart, TrainingPart
from bentsao.tuning.rows import make_rows

RECIPES: dict[str, tuple[dict[str, Any], float]] = {
    "q,v r8, 3e-4 (the original's)": ({"rank": 8, "alpha": 16, "dropout": 0.05, "targets": "attention"}, 3e-4),
    "q,v r8, 2e-3": ({"rank": 8, "alpha": 16, "targets": "attention"}, 2e-3),
    "all-linear r8, 3e-4": ({"rank": 8, "alpha": 16}, 3e-4),
    "all-linear r8, 1e-3": ({"rank": 8, "alpha": 16}, 1e-3),
    "all-linear r8, 2e-3": ({"rank": 8, "alpha": 16}, 2e-3),
    "all-linear r16, 1e-3": ({"rank": 16, "alpha": 32}, 1e-3),
}


class Log:
    """Keeps what a run tells."""

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []
        self.evals: list[EvalRecord] = []

    def step(self, record: StepRecord) -> None:
        """Keeps it."""
        self.steps.append(record)

    def validating(self, done: int, rows: int) -> None:
        """Nothing."""

    def evaluated(self, record: EvalRecord) -> None:
        """Keeps it."""
        self.evals.append(record)

    def saved(self, step: int) -> None:
        """Nothing to keep."""


def main() -> None:
    """Run every recipe and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--names", help="entity names, one a line, to hold out by")
    parser.add_argument("--limit", type=int, default=480)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--only", nargs="*", default=sorted(RECIPES))
    args = parser.parse_args()
    material = gather(DataPart(files=(args.data,), names=args.names, limit=args.limit, validation=0.15), seed=42)
    for name in args.only:
        lora, rate = RECIPES[name]
        set_seed(42)
        base = load_base("embedded")
        train_rows, valid_rows = (
            make_rows(part, FORMATS["plain"], base.tokens, cutoff=1024) for part in (material.train, material.valid)
        )
        model = add_lora(base.model, LoraPart.model_validate(lora), quantised=False, checkpointing=False)
        log = Log()
        with tempfile.TemporaryDirectory() as folder:
            job = Job(
                train=train_rows.rows,
                train_ids=train_rows.ids,
                valid=valid_rows.rows,
                training=TrainingPart(epochs=1, steps=args.steps, learning_rate=rate, evaluate_every=10**6),
                pad_id=base.tokens.pad_id,
                micro_tokens=1024,
                folder=Path(folder) / "run",
            )
            train(model, LabelledLoss(model), job, Accelerator(), log)
        speed = sum(s.tokens for s in log.steps) / sum(s.seconds for s in log.steps)
        print(
            f"{name:32} {log.evals[0].loss:.4f} → {log.evals[-1].loss:.4f}  {speed:6.1f} tokens/s  "
            f"({len(train_rows.rows)} rows, {len(log.steps)} steps, {len(valid_rows.rows)} held out)",
            flush=True,
        )


if __name__ == "__main__":
    main()

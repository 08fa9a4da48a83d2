"""Run by test_distributed.py in one process or several: trains the tiny model and writes the losses as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from bentsao.tuning.loop import train
from bentsao.tuning.objective import LabelledLoss
from tests.tuning.test_loop import WEIGHTS, Log, in_parts, job, model, rows


def main(folder: Path) -> None:
    accelerator = Accelerator(cpu=True)
    a_model, log = model(), Log()
    # 26 rows in steps of 5: the last step of an epoch has one row, which two processes cannot share.
    a_job = job(folder, batch_rows=5, epochs=2, part_weights=WEIGHTS)
    a_job = replace(a_job, train=in_parts(rows(26)), valid=in_parts(rows(6, seed=9)))
    train(a_model, LabelledLoss(a_model), a_job, accelerator, log)
    if accelerator.is_main_process:
        losses = {
            "train": [s.loss for s in log.steps],
            "valid": [e.loss for e in log.evals],
            "train_parts": [loss for s in log.steps for _, loss in sorted(s.by_part.items())],
            "valid_parts": [loss for e in log.evals for _, loss in sorted(e.by_part.items())],
        }
        (folder / "losses.json").write_text(json.dumps(losses), encoding="utf-8")
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

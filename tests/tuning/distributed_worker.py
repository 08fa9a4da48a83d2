"""Run by test_distributed.py in one process or several: trains the tiny model and writes the losses as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from accelerate import Accelerator

from bentsao.tuning.loop import train
from bentsao.tuning.objective import LabelledLoss
from tests.tuning.test_loop import Log, job, model


def main(folder: Path) -> None:
    accelerator = Accelerator(cpu=True)
    a_model, log = model(), Log()
    # 26 rows in steps of 5: the last step of an epoch has one row, which two processes cannot share.
    train(a_model, LabelledLoss(a_model), job(folder, batch_rows=5, epochs=2), accelerator, log)
    if accelerator.is_main_process:
        losses = {"train": [s.loss for s in log.steps], "valid": [e.loss for e in log.evals]}
        (folder / "losses.json").write_text(json.dumps(losses), encoding="utf-8")
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Run by test_distributed.py in one process or several: trains the tiny model and writes the losses as JSON.

    distributed_worker.py FOLDER lora|full [sharded] [begin|end]

The run is stopped after its second step, by the last process alone, and goes on from its checkpoint: `begin` and `end`
do one of the two.
"""

from __future__ import annotations

import faulthandler
import json
import sys
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator
from torch import nn

from bentsao.tuning.checkpoints import checkpoints, save_weights
from bentsao.tuning.loop import train
from bentsao.tuning.lora import unfreeze
from bentsao.tuning.objective import LabelledLoss
from tests.doubles import tiny_model
from tests.tuning.test_loop import WEIGHTS, Log, in_parts, job, model, rows


def main(folder: Path, words: set[str]) -> None:
    accelerator = Accelerator(cpu=True)
    log = Log()

    def fresh() -> nn.Module:
        # Gemma's head is tied to its embedding.
        return unfreeze(tiny_model("gemma3", vocab_size=64), checkpointing=False) if "full" in words else model()

    # 26 rows in steps of 5: the last step of an epoch has one row, which two processes cannot share. Validation on the
    # way reads one row, so that one of them has none.
    a_job = job(
        folder,
        batch_rows=5,
        epochs=2,
        part_weights=WEIGHTS,
        evaluate_every=1,
        evaluate_rows=1,
        shard="sharded" in words,
    )
    a_job = replace(a_job, train=in_parts(rows(26)), valid=in_parts(rows(6, seed=9)))
    if "end" not in words:
        last = accelerator.process_index == accelerator.num_processes - 1
        first = fresh()
        # Only one process finds that it is time for a checkpoint, and all must write it.
        training = a_job.training.model_copy(update={"save_seconds": 1e-9 if last else 1e9})
        stopping = replace(a_job, training=training, stop=lambda: last and len(log.steps) == 2)
        outcome = train(first, LabelledLoss(first), stopping, accelerator, log)
        assert (outcome.finished, outcome.steps) == (False, 2), outcome
    if "begin" not in words:
        second = fresh()
        resumed = replace(a_job, resume=checkpoints(a_job.folder)[-1])
        train(second, LabelledLoss(second), resumed, accelerator, log)
        save_weights(second, folder / "weights.safetensors", accelerator)
    if accelerator.is_main_process:
        losses = {
            "processes": accelerator.num_processes,
            "train": [s.loss for s in log.steps],
            "norms": [s.grad_norm for s in log.steps],
            "valid": [e.loss for e in log.evals],
            "train_parts": [loss for s in log.steps for _, loss in sorted(s.by_part.items())],
            "valid_parts": [loss for e in log.evals for _, loss in sorted(e.by_part.items())],
        }
        (folder / "losses.json").write_text(json.dumps(losses), encoding="utf-8")
    accelerator.end_training()


if __name__ == "__main__":
    # Processes that wait for each other in vain would wait for ever.
    faulthandler.dump_traceback_later(600, exit=True)
    main(Path(sys.argv[1]), set(sys.argv[2:]))

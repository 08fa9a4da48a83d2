"""What makes a step cheaper, got ready before the first one and tried out on the run's own rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor

from bentsao.core.errors import ConfigError
from bentsao.core.rendering import IGNORE, Row
from bentsao.models.machine import computes_bfloat16
from bentsao.tuning.batches import MicroBatch, micro_batches, stack
from bentsao.tuning.job import Job
from bentsao.tuning.objective import LabelledLoss

SAMPLE = 32
"""Rows that are looked at to find the words that the base finds likely."""

_HEAD = 16
"""Tokens in which the rows of the trial are alike."""


def take_shortcuts(objective: LabelledLoss, job: Job, accelerator: Accelerator, note: Callable[[str], None]) -> None:
    """Shared prefixes where they hold, and the recipe's `training.head`.

    Raises ConfigError if the head is to be screened or trimmed, and is tuned itself.
    """
    way = job.training.head
    if way != "full" and objective.head_is_trained():
        raise ConfigError(f"输出层自己也要调，不能用 training.head={way}。请改成 full，或不调输出层。")
    weight = cast(Tensor, objective.head_module.weight)
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and computes_bfloat16(weight.device):
        note("这台 CPU 能直接算 bfloat16：加 --set base.dtype=bfloat16 会快不少（见 docs/tuning.md 的比较）。")
    objective.eval()
    with torch.no_grad(), accelerator.autocast():
        objective.shares_prefix = _shares_prefix(objective, job, accelerator.device)
        if way == "screened":
            objective.screen()
            if not computes_bfloat16(accelerator.device):
                note("这台机器不能直接算 bfloat16，粗筛用原来的精度，只省下反向的一半。")
        if way == "trimmed":
            words = _words(objective, job, accelerator.device)
            objective.trim(words)
            note(f"输出层训练时只留 {words.shape[0]:,} 个词（训练数据里有的，和基座在其中觉得有可能的）。")
    objective.train()


def _shares_prefix(objective: LabelledLoss, job: Job, device: torch.device) -> bool:
    """Whether rows of this run may share their beginning: the architecture gives the same states when they do."""
    training = job.training
    if training.gradient_checkpointing or training.shard or job.kept is not None or len(job.train) < 2:
        return False
    if getattr(objective.causal.config, "model_type", None) == "chatglm":
        return False  # what stands later in a prompt changes what stands before it
    batch = stack([0, 1], _alike(job.train[0]), job.pad_id, device)
    apart = objective.hidden(batch.ids, batch.mask)
    objective.shares_prefix = True
    try:
        together = objective.hidden(batch.ids, batch.mask)
    except (AttributeError, TypeError, ValueError, NotImplementedError, RuntimeError):
        return False  # an architecture whose cache is of another kind
    seen = batch.mask.bool()
    difference = (apart - together)[seen].abs().max().item()
    return difference <= 64 * torch.finfo(apart.dtype).eps * max(1.0, apart[seen].abs().max().item())


def _alike(row: Row) -> list[Row]:
    """Two rows that begin alike, of a row's tokens: the first rows of a run need not, and later ones may."""
    ids = (row.ids * (2 * _HEAD))[: 2 * _HEAD]
    both = (ids, (*ids[:_HEAD], *reversed(ids[_HEAD:-1])))
    return [Row(each, (IGNORE,) * len(each)) for each in both]


def _words(objective: LabelledLoss, job: Job, device: torch.device) -> Tensor:
    """All words that the run learns, and what the model as it is finds likely at such places in a sample of rows."""
    chosen = random.Random(job.training.seed).sample(range(len(job.train)), min(SAMPLE, len(job.train)))
    states = [_learnt_states(objective, stack(places, job.train, job.pad_id, device))
              for places in micro_batches(chosen, job.train, job.micro_tokens)]  # fmt: skip
    return objective.likely_words(torch.cat(states), _targets(job.train, device))


def _learnt_states(objective: LabelledLoss, batch: MicroBatch) -> Tensor:
    return objective.hidden(batch.ids, batch.mask)[batch.targets != IGNORE]


def _targets(rows: Sequence[Row], device: torch.device) -> Tensor:
    return torch.tensor(sorted({t for row in rows for t in row.targets if t != IGNORE}), device=device)

"""What the frozen lower layers make of each row, computed once and kept on the disk for all epochs.

Where only upper layers are tuned, the layers below give the same for the same row each time: their forward is most of
the work of a step, and it is done once instead of once an epoch. Nothing is approximated: the states are kept in the
number format in which the model computes them. The file lies in the run's folder and goes with it; one that a killed
run left half-filled is filled up.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.files import read_json, sha256_text, write_json
from bentsao.core.rendering import Row
from bentsao.tuning.batches import Kept, micro_batches, share, stack
from bentsao.tuning.job import Job
from bentsao.tuning.layers import Below
from bentsao.tuning.objective import LabelledLoss

FLUSH_ROWS = 512
"""After so many rows they are brought to the disk and marked as done."""


def keep(objective: LabelledLoss, job: Job, accelerator: Accelerator, note: Callable[[str], None]) -> Kept:
    """Compute what is not in the run's folder yet, and let the objective take it from there (its `below`).

    Raises ConfigError if the states take more than the recipe's `activations_gb` or than the disk has, ModelError if a
    forward with them is not the same as one without.
    """
    with accelerator.autocast():
        return _keep(objective, job, accelerator, note)


def _keep(objective: LabelledLoss, job: Job, accelerator: Accelerator, note: Callable[[str], None]) -> Kept:
    lowest, limit, folder = job.training.lowest_layer, job.training.activations_gb, job.folder / "activations"
    below = Below(objective.backbone, lowest)
    objective.eval()
    own = list({row.ids: row for row in (*job.train, *job.valid)}.values())
    device = accelerator.device
    first = _compute(below, own[:1], job.pad_id, device)
    tokens = sum(len(row.ids) for row in own)
    size = tokens * first.shape[2] * first.dtype.itemsize
    what = f"{len(own)} 行、{tokens:,} token × {first.shape[2]} × {first.dtype.itemsize} 字节"
    if size > limit * 1e9:
        raise ConfigError(
            f"第 {lowest} 层以下的结果要占 {size / 1e9:.1f} GB（{what}），超过 training.activations_gb={limit:g}。"
            "请调大它，或去掉 training.keep_activations。"
        )
    if accelerator.is_main_process:
        _create(folder, _identity(own, lowest, first), size, len(own))
    accelerator.wait_for_everyone()
    shape = (tokens, first.shape[2])
    states = torch.from_file(str(folder / "states"), shared=True, size=shape[0] * shape[1], dtype=first.dtype).view(
        shape
    )
    done = torch.from_file(str(folder / "done"), shared=True, size=len(own), dtype=torch.uint8)
    starts = _starts(own)
    kept = Kept(starts, states)
    missing = [place for place in range(len(own)) if not done[place]]
    note(f"第 {lowest} 层以下的结果存在 {folder}：{size / 1e9:.2f} GB（{what}），还要算 {len(missing)} 行")
    accelerator.wait_for_everyone()  # all have the same list before anyone marks a row of it
    mine = share(missing, own, accelerator.process_index, accelerator.num_processes)
    pending: list[int] = []
    for places in micro_batches(mine, own, job.micro_tokens):
        hidden = _compute(below, [own[place] for place in places], job.pad_id, device)
        for number, place in enumerate(places):
            start, length = starts[own[place].ids], len(own[place].ids)
            states[start : start + length] = hidden[number, :length].cpu()
        pending += places
        if len(pending) >= FLUSH_ROWS:
            _mark(folder, done, pending)
    _mark(folder, done, pending)
    accelerator.wait_for_everyone()
    if left := int((done == 0).sum()):
        raise ModelError(
            f"{folder} 里还有 {left} 行没有算出来。请再运行一次同一命令；若仍如此，去掉 training.keep_activations。"
        )
    objective.below = below
    _check(objective, kept, own[0], device)
    objective.train()
    return kept


def _compute(below: Below, rows: Sequence[Row], pad_id: int, device: torch.device) -> Tensor:
    batch = stack(range(len(rows)), rows, pad_id, device)
    return below.compute(batch.ids, batch.mask)


def _identity(rows: Sequence[Row], lowest: int, first: Tensor) -> dict[str, str]:
    """What a file of states must have been made for; the base is vouched for by the run (see `open_run`)."""
    hashed = sha256_text(repr([row.ids for row in rows]))
    return {"rows": hashed, "layer": str(lowest), "width": str(first.shape[2]), "dtype": str(first.dtype)}


def _create(folder: Path, identity: dict[str, str], size: int, rows: int) -> None:
    """Files of the right size, where those of an earlier start are not there or were made for something else."""
    known = folder / "identity.json"
    if known.is_file() and read_json(known) == identity:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ConfigError(
            f"{folder} 所在的磁盘只剩 {free / 1e9:.1f} GB，放不下 {size / 1e9:.1f} GB。"
            "请去掉 training.keep_activations。"
        )
    for name, length in (("states", size), ("done", rows)):
        with (folder / name).open("wb") as file:
            file.truncate(length)
    write_json(known, identity)


def _starts(rows: Sequence[Row]) -> dict[tuple[int, ...], int]:
    starts: dict[tuple[int, ...], int] = {}
    position = 0
    for row in rows:
        starts[row.ids] = position
        position += len(row.ids)
    return starts


def _mark(folder: Path, done: Tensor, pending: list[int]) -> None:
    """Mark rows as done after their states are on the disk, never before."""
    with (folder / "states").open("rb+") as file:
        os.fsync(file.fileno())
    done[pending] = 1
    pending.clear()


@torch.no_grad()
def _check(objective: LabelledLoss, kept: Kept, row: Row, device: torch.device) -> None:
    batch = stack([0], [row], 0, device)
    plain = objective.hidden(batch.ids, batch.mask)
    given = objective.hidden(batch.ids, batch.mask, kept.read([row], device))
    difference = (plain - given).abs().max().item()
    # As much as the order of additions changes in the number format.
    if not difference <= 64 * torch.finfo(plain.dtype).eps * max(1.0, plain.abs().max().item()):
        raise ModelError(
            f"{type(objective.causal).__name__} 用存下的结果算出的与直接算的不同（最大差 {difference:.3g}）。"
            "请去掉 training.keep_activations。"
        )

"""Which rows go into which optimizer step, and how a step's rows are laid out in memory.

A step's rows are drawn at random; only inside the step they are sorted by length and cut into micro-batches within a
token budget. The gradient is that of the whole step, so this saves padding without the odd loss curve of grouping a
whole epoch by length. Everything follows from (seed, epoch), so a resumed run takes the same steps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bentsao.core.grounding import PARTS
from bentsao.core.rendering import IGNORE, Row

_PART_NUMBERS = {part: number for number, part in enumerate(PARTS)}


@dataclass(frozen=True)
class MicroBatch:
    """Rows padded on the right to the longest. ids, mask, targets: [rows, length] int64; places: their row numbers.

    parts: [rows, length] int64, the number in `grounding.PARTS` (from 0) of the part that a target counts for.
    """

    ids: Tensor
    mask: Tensor
    targets: Tensor
    parts: Tensor
    places: tuple[int, ...]


@dataclass(frozen=True)
class Kept:
    """The states of all rows in one file, read by the rows' ids. starts: the first position of each row in `states`."""

    starts: dict[tuple[int, ...], int]
    states: Tensor

    def read(self, rows: Sequence[Row], device: torch.device) -> Tensor:
        """[rows, longest, d], padded with zeros on the right, as `stack` pads."""
        longest = max(len(row.ids) for row in rows)
        out = torch.zeros((len(rows), longest, self.states.shape[1]), dtype=self.states.dtype)
        for number, row in enumerate(rows):
            start = self.starts[row.ids]
            out[number, : len(row.ids)] = self.states[start : start + len(row.ids)]
        return out.to(device)


def epoch_steps(rows: int, batch_rows: int, seed: int, epoch: int) -> list[list[int]]:
    """Row numbers of each optimizer step of an epoch (counted from 0); the last step may be smaller."""
    order = list(range(rows))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return [order[start : start + batch_rows] for start in range(0, rows, batch_rows)]


def micro_batches(places: Sequence[int], rows: Sequence[Row], token_budget: int) -> list[list[int]]:
    """A step's rows cut so that rows × longest stays within the budget; longest first, each row once.

    A row longer than the budget gets a micro-batch of its own. Longest first, so that memory peaks at the start and
    not in the middle of a run.
    """
    out: list[list[int]] = []
    for place in sorted(places, key=lambda p: (-len(rows[p].ids), p)):
        longest = len(rows[out[-1][0]].ids) if out else 0
        if out and longest * (len(out[-1]) + 1) <= token_budget:
            out[-1].append(place)
        else:
            out.append([place])
    return out


def share(places: Sequence[int], rows: Sequence[Row], process: int, processes: int) -> list[int]:
    """One process's part of a step: by length in turn, so that all get about the same work; empty if rows run out."""
    order = sorted(places, key=lambda p: (-len(rows[p].ids), p))
    return order[process::processes]


def stack(places: Sequence[int], rows: Sequence[Row], pad_id: int, device: torch.device) -> MicroBatch:
    """The rows as tensors, padded on the right (positions are then right for every architecture)."""
    longest = max(len(rows[place].ids) for place in places)
    ids = torch.full((len(places), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(places), longest), dtype=torch.long)
    targets = torch.full((len(places), longest), IGNORE, dtype=torch.long)
    parts = torch.zeros((len(places), longest), dtype=torch.long)
    for number, place in enumerate(places):
        size = len(rows[place].ids)
        ids[number, :size] = torch.tensor(rows[place].ids)
        mask[number, :size] = 1
        targets[number, :size] = torch.tensor(rows[place].targets)
        for part, start, end in rows[place].spans():
            parts[number, start:end] = _PART_NUMBERS[part]
    return MicroBatch(ids.to(device), mask.to(device), targets.to(device), parts.to(device), tuple(places))

"""The losses by part (`core.grounding.PARTS`): their weights, their sums on each process, and the means for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bentsao.core.grounding import PARTS
from bentsao.core.rendering import Row
from bentsao.tuning.heads import Losses


@dataclass(frozen=True)
class Measured:
    """Losses over some rows: the weighted mean per learnt token, and the plain mean of each part the rows have."""

    loss: float
    by_part: dict[str, float]


def learnt_by_part(rows: Iterable[Row]) -> Counter[str]:
    """Learnt tokens by part."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(row.learnt_by_part())
    return counts


def weigh(learnt: Counter[str], weights: Mapping[str, float]) -> float:
    """The sum of the weights of learnt tokens."""
    return sum(weights[part] * count for part, count in learnt.items())


def weight_tensor(weights: Mapping[str, float], device: torch.device) -> Tensor | None:
    """[len(PARTS)] float32; None where all are 1."""
    values = [float(weights[part]) for part in PARTS]
    return None if set(values) == {1.0} else torch.tensor(values, device=device)


def no_sums(device: torch.device) -> Tensor:
    """What `sums_of` adds up to over no batch."""
    return torch.zeros(1 + len(PARTS), dtype=torch.float64, device=device)


def sums_of(losses: Losses) -> Tensor:
    """The weighted sum and the sums by part in one tensor, which one exchange between processes can add up."""
    return torch.cat([losses.total.detach().double()[None], losses.by_part])


def means(sums: Tensor, learnt: Counter[str], weights: Mapping[str, float]) -> Measured:
    """From the sums over all processes to the means; `learnt` counts over all.

    Rows whose parts all have weight 0 teach nothing; their loss is 0.
    """
    total, *parts = sums.tolist()
    by_part = {part: lost / learnt[part] for part, lost in zip(PARTS, parts, strict=True) if learnt[part]}
    return Measured(total / (weigh(learnt, weights) or 1.0), by_part)

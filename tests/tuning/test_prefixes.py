"""A beginning that all rows share is computed once, with the same losses and gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from bentsao.core.rendering import IGNORE
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.prefixes import LEAST, shared_length
from tests.doubles import KINDS, Kind, tiny_model

ROWS = st.lists(st.lists(st.integers(1, 2), min_size=1, max_size=20), min_size=1, max_size=4)


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and mask."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


@given(ROWS, st.lists(st.integers(1, 2), max_size=20))
def test_the_shared_length_is_what_all_rows_begin_with(rests: list[list[int]], start: list[int]) -> None:
    rows = [start + rest for rest in rests]
    shared = shared_length(*padded(rows))
    assert shared == 0 or LEAST <= shared < min(map(len, rows))
    assert len({tuple(row[:shared]) for row in rows}) == 1
    if shared == 0 and len(rows) > 1:
        assert len({tuple(row[:LEAST]) for row in rows}) > 1 or min(map(len, rows)) <= LEAST
    elif shared and shared + 1 < min(map(len, rows)):
        assert len({row[shared] for row in rows}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_the_same(kind: Kind) -> None:
    torch.manual_seed(0)
    model = get_peft_model(tiny_model(kind), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    objective = LabelledLoss(model)
    ids, mask = padded([[*range(5, 15), *rest] for rest in ([30, 31, 32], [40], [50, 51, 52, 53, 54, 55])])
    targets = torch.where(mask == 1, ids + 1, IGNORE)
    targets[:, :4] = IGNORE
    found: list[tuple[float, dict[str, torch.Tensor]]] = []
    for shares in (False, True):
        objective.shares_prefix = shares
        model.zero_grad()
        loss = objective(ids, mask, targets, torch.zeros_like(ids)).total
        loss.backward()
        found.append((loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1].keys() == found[1][1].keys()
    apart, together = (torch.cat([gradient.flatten() for gradient in own.values()]) for _, own in found)
    assert ((apart - together).norm() / apart.norm()).item() < 1e-4

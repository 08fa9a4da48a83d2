"""States of the frozen layers kept on the disk: the same losses and weights, on every architecture, and bounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from bentsao.core.errors import ConfigError, ModelError
from bentsao.tuning.checkpoints import tuned
from bentsao.tuning.frozen import keep
from bentsao.tuning.job import Job
from bentsao.tuning.layers import Below
from bentsao.tuning.loop import train
from bentsao.tuning.lora import add_lora, unfreeze
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.recipe import LoraPart
from tests.doubles import KINDS, Kind, tiny_model
from tests.tuning.test_loop import Log, job


def upper(kind: Kind, full: bool = False, lowest: int = 1) -> nn.Module:
    torch.manual_seed(0)
    base = tiny_model(kind, vocab_size=64)
    if full:
        return unfreeze(base, checkpointing=False, lowest=lowest)
    return add_lora(base, LoraPart(rank=4), quantised=False, checkpointing=False, lowest=lowest)


def kept_job(tmp_path: Path, objective: LabelledLoss, notes: list[str], **training: Any) -> Job:
    a_job = job(tmp_path, lowest_layer=1, **training)
    return replace(a_job, kept=keep(objective, a_job, Accelerator(cpu=True), notes.append))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [False, True])
def test_the_losses_and_weights_are_the_same(
    tmp_path: Path, kind: Kind, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    accelerator, plain, ours = Accelerator(cpu=True), Log(), Log()
    expected = upper(kind, full)
    train(expected, LabelledLoss(expected), job(tmp_path / "plain", lowest_layer=1), accelerator, plain)
    model = upper(kind, full)
    objective = LabelledLoss(model)
    a_job = kept_job(tmp_path / "kept", objective, [])
    monkeypatch.setattr(Below, "compute", None)  # nothing of it is computed again
    train(model, objective, a_job, accelerator, ours)
    assert [s.loss for s in ours.steps] == pytest.approx([s.loss for s in plain.steps], rel=1e-6)
    assert [e.loss for e in ours.evals] == pytest.approx([e.loss for e in plain.evals], rel=1e-6)
    assert plain.steps[-1].loss < plain.steps[0].loss
    weights = tuned(model)
    assert weights
    assert not any(".0." in name or "embed" in name for name in weights)
    for name, weight in tuned(expected).items():
        # Biases of keys change no attention: their gradients are rounding, which AdamW makes steps of.
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-3)


def test_rows_that_another_process_left_out_are_told_and_all_share_one_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two processes; the other one never does its share."""
    computed: list[int] = []
    barriers: list[int] = []  # what was computed before each
    compute = Below.compute

    def counting(below: Below, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        computed.append(len(ids))
        return compute(below, ids, mask)

    monkeypatch.setattr(Below, "compute", counting)
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    monkeypatch.setattr(Accelerator, "wait_for_everyone", lambda _: barriers.append(sum(computed)))
    with pytest.raises(ModelError, match=r"还有 \d+ 行没有算出来"):
        kept_job(tmp_path, LabelledLoss(upper("llama")), [])
    assert barriers[:2] == [1, 1], "what is missing is listed before anyone computes it"
    assert barriers[-1] > 1


def test_half_filled_files_are_filled_up_and_foreign_ones_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    compute = Below.compute

    def counting(below: Below, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        computed.append(len(ids))
        if sum(computed) > limit:
            raise KeyboardInterrupt
        return compute(below, ids, mask)

    monkeypatch.setattr(Below, "compute", counting)
    monkeypatch.setattr("bentsao.tuning.frozen.FLUSH_ROWS", 1)
    limit = 12
    objective = LabelledLoss(upper("llama"))
    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        kept_job(tmp_path, objective, notes)
    assert "还要算 32 行" in notes[-1]
    limit, known = 10**9, sum(computed[:-1]) - 1  # the first row is computed each time, for its width
    whole = kept_job(tmp_path, objective, notes).kept
    assert 0 < known < 32
    assert f"还要算 {32 - known} 行" in notes[-1]
    again = kept_job(tmp_path, objective, notes).kept
    assert "还要算 0 行" in notes[-1]
    assert whole is not None
    assert again is not None
    fresh = kept_job(tmp_path / "fresh", objective, notes).kept
    assert fresh is not None
    assert torch.equal(whole.states, again.states)
    torch.testing.assert_close(whole.states, fresh.states)
    assert (tmp_path / "run" / "activations" / "states").stat().st_size == whole.states.numel() * 4


def test_states_that_take_too_much_are_not_begun(tmp_path: Path) -> None:
    objective = LabelledLoss(upper("llama"))
    with pytest.raises(ConfigError, match=r"超过 training\.activations_gb=1e-06"):
        kept_job(tmp_path, objective, [], activations_gb=1e-6)
    assert not (tmp_path / "run" / "activations").exists()


def test_a_forward_that_does_not_take_them_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = LabelledLoss(upper("llama"))
    compute = Below.compute
    monkeypatch.setattr(Below, "compute", lambda *given: cast(Any, compute)(*given) * 1.001)
    with pytest.raises(ModelError, match="与直接算的不同"):
        kept_job(tmp_path, objective, [])


def test_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"lowest_layer=2，但基座只有 2 层"):
        upper("llama", lowest=2)
    with pytest.raises(ConfigError, match=r"没有一个在第 1 层"):
        part = LoraPart(targets="model.layers.0.mlp.up_proj")
        add_lora(tiny_model(), part, quantised=False, checkpointing=False, lowest=1)

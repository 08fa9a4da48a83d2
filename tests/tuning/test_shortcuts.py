"""What a run gets ready before its first step is tried out, and refused where it does not hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from transformers import MambaConfig, MambaForCausalLM

from bentsao.core.errors import ConfigError
from bentsao.core.rendering import IGNORE, Row
from bentsao.tuning.job import Job
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.recipe import TrainingPart
from bentsao.tuning.shortcuts import take_shortcuts
from tests.doubles import tiny_model


def a_row(*answer: int) -> Row:
    """Ten tokens before every answer."""
    ids = (*range(5, 15), *answer)
    return Row(ids=ids, targets=(*[IGNORE] * 9, *answer, 2))


def a_job(folder: Path, **training: Any) -> Job:
    rows = [a_row(30, 31, 32), a_row(40, 41), a_row(50, 51, 52, 53)]
    return Job(rows, ["a", "b", "c"], [], TrainingPart(**training), pad_id=0, micro_tokens=512, folder=folder)


def unlike_rows(folder: Path) -> Job:
    """The first rows share nothing; rows that come later do."""
    rows = [Row(ids=ids, targets=(*ids[1:], 2)) for ids in ((5, 6, 7), (8, 9, 10, 11))]
    return replace(a_job(folder), train=[*rows, a_row(30, 31), a_row(40, 41)], train_ids=["a", "b", "c", "d"])


def an_objective(targets: str | list[str] = "all-linear") -> LabelledLoss:
    torch.manual_seed(0)
    return LabelledLoss(get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=targets)))


def total(objective: LabelledLoss) -> float:
    ids = torch.tensor([a_row(30, 31).ids])
    targets = torch.tensor([a_row(30, 31).targets])
    with torch.no_grad():
        return objective(ids, torch.ones_like(ids), targets, torch.zeros_like(ids)).total.item()


def test_prefixes_are_shared_where_that_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = an_objective()
    take_shortcuts(objective, a_job(tmp_path), Accelerator(cpu=True), lambda _: None)
    assert objective.shares_prefix
    assert objective.training
    take_shortcuts(objective, a_job(tmp_path, gradient_checkpointing=True), Accelerator(cpu=True), lambda _: None)
    assert not objective.shares_prefix

    def wrong(_backbone: Any, ids: torch.Tensor, _mask: Any, _shared: int) -> torch.Tensor:
        return torch.ones(*ids.shape, 32)

    monkeypatch.setattr("bentsao.tuning.objective.with_shared_prefix", wrong)
    for made in (a_job(tmp_path), unlike_rows(tmp_path)):
        take_shortcuts(objective, made, Accelerator(cpu=True), lambda _: None)
        assert not objective.shares_prefix


def test_an_architecture_that_keeps_no_keys_and_values_shares_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}
    mamba = get_peft_model(MambaForCausalLM(MambaConfig(**sizes)), LoraConfig(r=2, target_modules=["in_proj"]))
    objective = LabelledLoss(mamba)
    take_shortcuts(objective, unlike_rows(tmp_path), Accelerator(cpu=True), lambda _: None)
    assert not objective.shares_prefix


def test_validation_is_exact_whatever_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = an_objective()
    objective.eval()
    exact = total(objective)
    notes: list[str] = []
    found: list[int] = []

    def only_learnt(hidden: torch.Tensor, also: torch.Tensor) -> torch.Tensor:
        found.append(hidden.shape[0])
        return also

    monkeypatch.setattr(objective, "likely_words", only_learnt)
    take_shortcuts(objective, a_job(tmp_path, head="trimmed"), Accelerator(cpu=True), notes.append)
    assert found == [4 + 3 + 5]  # all places where something is learnt
    assert "只留 10 个词" in notes[-1]
    assert total(objective) < exact - 1
    objective.eval()
    assert total(objective) == exact


def test_a_head_that_is_tuned_is_not_trimmed(tmp_path: Path) -> None:
    objective = an_objective(["lm_head"])
    for way in ("screened", "trimmed"):
        with pytest.raises(ConfigError, match="输出层"):
            take_shortcuts(objective, a_job(tmp_path, head=way), Accelerator(cpu=True), lambda _: None)

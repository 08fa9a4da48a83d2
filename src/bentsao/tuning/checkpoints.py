"""Checkpoints: all that the next step depends on, written whole or not at all.

A run keeps its state in `<output>.run/` beside the adapter folder to be. A run that is started again with the same
recipe, data and base goes on from the last checkpoint and takes the very steps it would have taken.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file

from bentsao.core.errors import ConfigError
from bentsao.core.files import read_json, whole_folder, write_json

KEPT = 2
"""How many checkpoints are kept: the last, and one before it in case a disk fails."""


@dataclass
class State:
    """Where a run stands. `step` counts finished optimizer steps over all epochs; `history` is one record a step and
    evaluation; `best` is (validation loss, step) of the best adapter so far, None before the first validation.
    """

    step: int
    history: list[dict[str, Any]]
    best: tuple[float, int] | None


def run_folder(output: Path) -> Path:
    """Where the run that will write `output` keeps its state."""
    return output.with_name(output.name + ".run")


@dataclass(frozen=True)
class Moving:
    """The parts of a run that change from step to step, and so go into a checkpoint."""

    model: PeftModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler


def save_checkpoint(folder: Path, state: State, moving: Moving, rng: list[dict[str, Any]]) -> None:
    """Write `step-<n>/` and remove all but the last few. `rng` holds each process's `rng_state()`."""
    path = folder / f"step-{state.step:07d}"
    with whole_folder(path) as temporary:
        save_file(adapter_weights(moving.model), temporary / "adapter.safetensors")
        torch.save(
            {"optimizer": moving.optimizer.state_dict(), "schedule": moving.schedule.state_dict(), "rng": rng},
            temporary / "optimizer.pt",
        )
        write_json(temporary / "state.json", {"step": state.step, "history": state.history, "best": state.best})
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(path: Path, moving: Moving) -> tuple[State, list[dict[str, Any]]]:
    """Put a checkpoint back into the moving parts; returns the state and the rng states by process."""
    load_weights(moving.model, path / "adapter.safetensors")
    saved = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    moving.optimizer.load_state_dict(saved["optimizer"])
    moving.schedule.load_state_dict(saved["schedule"])
    raw = read_json(path / "state.json")
    best = None if raw["best"] is None else (raw["best"][0], raw["best"][1])
    return State(raw["step"], raw["history"], best), saved["rng"]


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first (a name without its temporary ending is complete)."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"step-\d{7}", path.name))


def open_run(folder: Path, fingerprint: dict[str, Any], *, restart: bool) -> Path | None:
    """The checkpoint to go on from, None for a new run.

    Raises ConfigError if the folder holds a run of another recipe, data or base and `restart` is not given, naming
    what differs.
    """
    if restart and folder.exists():
        shutil.rmtree(folder)
    known = folder / "run.json"
    if known.is_file():
        before = read_json(known)
        changed = sorted(k for k in before.keys() | fingerprint.keys() if before.get(k) != fingerprint.get(k))
        if changed:
            raise ConfigError(
                f"{folder} 里有一次没有完成的训练，但它的{'、'.join(changed)}与现在不同，不能接着跑。"
                "请恢复原来的设置，或用 --restart 放弃它重新开始，或换一个 --output。"
            )
    else:
        write_json(known, fingerprint)
    found = checkpoints(folder)
    return found[-1] if found else None


def adapter_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    """The adapter's own tensors, on the CPU, in PEFT's names."""
    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}


def load_weights(model: PeftModel, file: Path) -> None:
    """Put saved adapter tensors back into the model."""
    set_peft_model_state_dict(model, load_file(file))


def rng_state() -> dict[str, Any]:
    """The state of torch's random numbers in this process (dropout draws from them)."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_rng(states: list[dict[str, Any]], process: int) -> None:
    """Put back one process's random numbers; a process that was not there before keeps its own."""
    if process < len(states):
        torch.set_rng_state(states[process]["cpu"])
        if "cuda" in states[process] and torch.cuda.is_available():
            torch.cuda.set_rng_state(states[process]["cuda"])

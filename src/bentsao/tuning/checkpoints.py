"""Checkpoints: all that the next step depends on, written whole or not at all.

A run keeps its state in `<output>.run/` beside the output folder to be. A run that is started again with the same
recipe, data and base goes on from the last checkpoint and takes the very steps it would have taken.

A checkpoint holds tensors by the names of the parameters they belong to: in one safetensors file, or, where the run
is sharded, in torch's distributed form, of which each process writes its part. Either is read by any number of
processes, sharded or not.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, cast
from zipfile import BadZipFile, ZipFile

import torch
import torch.distributed.checkpoint as dcp
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bentsao.core.errors import BentsaoError, ConfigError, ModelError, short
from bentsao.core.files import read_json, whole_file, whole_folder, write_json
from bentsao.tuning.sharding import is_sharded, put, whole

KEPT = 2
"""How many checkpoints are kept: the last, and one before it in case a disk fails."""

TENSORS, SHARDS = "tensors.safetensors", "shards"


@dataclass
class State:
    """Where a run stands. `step` counts finished optimizer steps over all epochs; `history` is one record a step and
    evaluation; `best` is (validation loss, step) of the best weights so far, None before the first validation.
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

    model: nn.Module
    optimizer: torch.optim.AdamW
    schedule: torch.optim.lr_scheduler.LRScheduler

    def tensors(self) -> dict[str, Tensor]:
        """What is tuned, and AdamW's state of it; the tensors themselves, so that they can be read into."""
        out: dict[str, Tensor] = {}
        for name, parameter in tuned(self.model).items():
            state = self.optimizer.state[parameter]
            if not state:  # before the first step
                state["step"] = torch.zeros(())
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            out[f"model.{name}"] = parameter
            out |= {f"{key}.{name}": state[key] for key in ("step", "exp_avg", "exp_avg_sq")}
        return out


@dataclass
class Pace:
    """When a checkpoint is due by time: `seconds` after the last, later where writing one would take over 5 % of it."""

    seconds: float
    last: float = field(default_factory=monotonic)
    took: float = 0.0

    def due(self) -> bool:
        """Whether it is time for one."""
        return monotonic() - self.last >= max(self.seconds, 20 * self.took)

    @contextmanager
    def writing(self) -> Generator[None]:
        """Around the writing of one."""
        started = monotonic()
        yield
        self.last = monotonic()
        self.took = self.last - started


def tuned(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_checkpoint(folder: Path, state: State, moving: Moving, accelerator: Accelerator) -> None:
    """Write `step-<n>/` and remove all but the last few. Every process calls it."""
    path = folder / f"step-{state.step:07d}"
    rng = cast("list[dict[str, Any]]", gather_object([rng_state()]))
    tensors = {name: tensor.detach() for name, tensor in moving.tensors().items()}
    shards = folder / f"{path.name}.{SHARDS}" if is_sharded(moving.model) else None
    if shards is not None:
        if accelerator.is_main_process:
            shutil.rmtree(shards, ignore_errors=True)
        accelerator.wait_for_everyone()
        dcp.save(cast(Any, tensors), checkpoint_id=shards)
    if accelerator.is_main_process:
        with whole_folder(path) as temporary:
            if shards is None:
                save_file({name: _own(tensor) for name, tensor in tensors.items()}, temporary / TENSORS)
            else:
                shards.rename(temporary / SHARDS)
            torch.save({"schedule": moving.schedule.state_dict(), "rng": rng}, temporary / "schedule.pt")
            write_json(temporary / "state.json", {"step": state.step, "history": state.history, "best": state.best})
        for old in checkpoints(folder)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def load_checkpoint(path: Path, moving: Moving) -> tuple[State, list[dict[str, Any]]]:
    """Put a checkpoint back into the moving parts; returns the state and the rng states by process."""
    tensors = {name: tensor.detach() for name, tensor in moving.tensors().items()}
    if (path / SHARDS).is_dir():
        dcp.load(cast(Any, tensors), checkpoint_id=path / SHARDS)
    else:
        saved = load_file(path / TENSORS)
        for name, tensor in tensors.items():
            put(tensor, saved[name])
    rest = torch.load(path / "schedule.pt", map_location="cpu", weights_only=True)
    moving.schedule.load_state_dict(rest["schedule"])
    for group, rate in zip(moving.optimizer.param_groups, moving.schedule.get_last_lr(), strict=True):
        group["lr"] = rate
    raw = read_json(path / "state.json")
    best = None if raw["best"] is None else (raw["best"][0], raw["best"][1])
    return State(raw["step"], raw["history"], best), rest["rng"]


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first (a name without its temporary ending is complete)."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"step-\d{7}", path.name))


def open_run(
    folder: Path,
    fingerprint: dict[str, Any],
    *,
    restart: bool,
    note: Callable[[str], None] = lambda _: None,
    listed: Callable[[Path], list[Path]] = checkpoints,
) -> Path | None:
    """The checkpoint to go on from, None for a new run. Later ones that are damaged are told and removed.

    listed: the checkpoints of such a run, oldest first. Raises ConfigError if the folder holds a run of another recipe,
    data or base and `restart` is not given, naming what differs; ModelError if all of its checkpoints are damaged.
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
                "请恢复原来的设置，或用 --restart 放弃它重新开始，或换一个 --out。"
            )
    else:
        write_json(known, fingerprint)
    damaged: dict[Path, str] = {}
    for path in reversed(listed(folder)):
        if why := _damage(path):
            damaged[path] = why
            continue
        for other, reason in damaged.items():
            note(f"检查点 {other.name} 坏了（{reason}），用它之前的 {path.name}")
            shutil.rmtree(other, ignore_errors=True)
        return path
    if damaged:
        told = "；".join(f"{path.name}：{reason}" for path, reason in damaged.items())
        raise ModelError(f"{folder} 里的检查点都坏了（{told}）。请检查磁盘，再用 --restart 从头训练。")
    return None


def _damage(path: Path) -> str:
    """Why a checkpoint cannot be read; empty where it can. Of tensors only the head and the length are looked at."""
    files = sorted(path.rglob("*"))
    kinds = {file.suffix for file in files}
    if not (kinds >= {".json", ".pt"} and kinds & {".safetensors", ".distcp"}):
        return "文件不全"
    for file in files:
        try:
            if file.suffix == ".json":
                read_json(file)
            elif file.suffix == ".safetensors":
                with safe_open(file, framework="pt"):
                    pass
            elif file.suffix in (".pt", ".pth"):  # torch's pickles are zip files, whose directory stands at the end
                ZipFile(file).close()
        except (BentsaoError, OSError, BadZipFile, SafetensorError) as error:
            return f"{file.name}：{short(error)}"
    return ""


def save_weights(model: nn.Module, file: Path, accelerator: Accelerator) -> None:
    """The tuned weights, whole, in one file; every process calls it and the main one writes."""
    weights: dict[str, Tensor] = {}
    for name, parameter in tuned(model).items():
        tensor = whole(parameter.detach())  # an exchange where it is sharded: in every process, in the same order
        if accelerator.is_main_process:
            weights[name] = _own(tensor)
    if accelerator.is_main_process:
        with whole_file(file) as temporary:
            save_file(weights, temporary)
    accelerator.wait_for_everyone()


def load_weights(model: nn.Module, file: Path) -> None:
    """Put what `save_weights` wrote back into the model."""
    saved = load_file(file)
    for name, parameter in tuned(model).items():
        put(parameter.detach(), saved[name])


def _own(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().clone()


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
